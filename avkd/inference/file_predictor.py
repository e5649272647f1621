"""A trained detector that scores clips and files: what `load_model` gives, `avkd predict` runs.

A video detector sees windows that cover every frame, an image detector single frames spread over
the file, or a picture. One batch of windows is held, and the frames of a short file. A file that
cannot be scored is `cannot_tell` with its reason, never `real`.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from avkd import runtime
from avkd.data import transforms
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.faces.face_tracks import DETECT_EVERY_FRAMES
from avkd.data.faces.track_extraction import MIN_FRAMES, FilePlan, plan_tracks
from avkd.data.inventory import is_picture_name
from avkd.data.media.image_files import is_animation
from avkd.data.media.media_file import MediaError, check_regular_file, kind_of
from avkd.data.media.source_file import FileKind, SourceFile
from avkd.data.model_input import ModelInput
from avkd.data.stopwatch import step
from avkd.inference import notes
from avkd.inference.evidence import Evidence
from avkd.inference.file_clips import FileClip, clips_of
from avkd.inference.heat_maps import HeatMethod, heat_maps
from avkd.inference.shots import JoinedShots
from avkd.inference.verdict import FaceAgreement, Note, Verdict, WindowScore, judge
from avkd.models import starter
from avkd.models.decision import DecisionRule
from avkd.models.efficientnet_lite import fold_norms
from avkd.models.model_file import ModelFileError, load_detector
from avkd.models.onnx_file import Engine
from avkd.models.registry import list_models
from avkd.outcome import ModelRefused
from avkd.runtime import Runtime

if TYPE_CHECKING:  # who asks for them brings them; the one loads pandas
    from avkd.inference.agreement import StageOne
    from avkd.inference.overlay import Overlay

FaceDetector = Literal["mtcnn", "yunet", "boxes", "none"]


class FileFeatures(NamedTuple):
    """What a network made of the windows of a file, in order of their ends."""

    tracks: Tensor
    """(N,) number of the face that window n shows."""
    start_frames: Tensor
    """(N,) its first frame in the file's stream of 25 frames a second."""
    features: Tensor
    """(N, T, D) float32: D features of each of its T frames."""
    importance: Tensor | None
    """(N, T), sum 1 over T: how much each frame counts; None where there is no attention."""
    logits: Tensor
    """(N,) raw scores, higher = more likely fake."""


@dataclass(frozen=True)
class FilePredictor:
    """A detector with all it needs to score files.

    >>> import avkd
    >>> model = avkd.load_model("starter-fast")
    >>> verdict = model.predict("picture.png", face_detector="none")
    >>> verdict.decision in ("real", "fake", "uncertain"), 0 <= verdict.probability <= 1
    (True, True)
    """

    model: nn.Module
    """The network, in eval mode."""
    rule: DecisionRule
    """What its scores mean: probability and threshold."""
    input: ModelInput
    """What it looks at."""
    fingerprint: str
    """First digits of the model file's digest."""
    machine: Runtime
    starter: str | None = None
    """Name of the shipped model it is; None = one of the user's."""
    stage_one: "StageOne | None" = None
    """Says of videos with sound how far picture and sound disagree; None = not asked."""

    @classmethod
    def load(cls, path: Path, machine: Runtime, engine: Engine = "auto") -> "FilePredictor":
        """Read a model file of `avkd finetune`, `avkd distill` or `avkd export`.

        Raises:
            ModelFileError: damaged, not a detector, without decision rule, or for another input.
            ValueError: the engine does not run such files.
        """
        model, header = load_detector(path, engine)
        if header.decision is None:
            raise ModelFileError(f"{path}: has no decision rule; train it with this avkd")
        fold_norms(model)
        return cls(
            model=model.to(machine.device),
            rule=header.decision,
            input=header.input_of(ModelInput.read, path),
            fingerprint=header.fingerprint,
            machine=machine,
            starter=str(path) if starter.is_starter(path) else starter.exported(header.provenance),
        )

    def preprocess(
        self, crops: np.ndarray | Tensor, landmarks: np.ndarray | Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """What the network is called with, on its device: the centre view, resized, normalised.

        Args:
            crops: (B, L, S, S, 3) uint8 RGB, as `avkd.Corpus` gives them: L frames of a face (of a
                clip: 25, of a picture: 1), S pixels wide as the model was trained on.
            landmarks: (B, L, 5, 2) in pixels of the crop; only some networks look at them.

        Returns:
            (B, 3, L, s, s) float; and (B, L, 5, 2) landmarks in shares of it, if looked at.

        Raises:
            ValueError: the crops are of another shape or type.
        """
        frames = torch.as_tensor(crops)
        wanted = (self.input.clip_frames, self.input.crop_pixels, self.input.crop_pixels, 3)
        if frames.dtype != torch.uint8 or frames.ndim != 5 or tuple(frames.shape[1:]) != wanted:
            raise ValueError(
                f"crops: want uint8 of shape (B, {', '.join(map(str, wanted))}), got "
                f"{frames.dtype} of shape {tuple(frames.shape)}"
            )
        points = None if landmarks is None else torch.as_tensor(landmarks).to(self.machine.device)
        if self.input.landmarks and points is None:
            raise ValueError("landmarks: this network looks at them; give (B, L, 5, 2)")
        views = self.input.center_views(len(frames), frames.shape[2])
        return self.input.view(frames.to(self.machine.device), points, views)

    def score(
        self, crops: np.ndarray | Tensor, landmarks: np.ndarray | Tensor | None = None
    ) -> Tensor:
        """Raw scores (B,) of clips, higher = more likely fake; arguments as of `preprocess`.

        `rule.probability` turns the score of a file, the mean of its clips', into P(fake).
        """
        logits: Tensor = self._output(crops, landmarks).logit
        return logits.cpu()

    def predict(
        self,
        file: str | Path,
        *,
        face_detector: FaceDetector | None = None,
        detector_file: str | Path | None = None,
        detect_every_frames: int | None = None,
        min_face: float | None = None,
        max_seconds: float | None = None,
        max_minutes: float | None = None,
        batch_size: int = 8,
        evidence: Evidence | None = None,
        overlay: "Overlay | None" = None,
    ) -> Verdict:
        """Judge a video or a picture; whatever is wrong with it becomes the verdict's reason.

        Args:
            file: The file.
            face_detector: Where faces come from: ``mtcnn`` and ``yunet`` detect them, ``boxes``
                reads a .faces.json sidecar, ``none`` takes the frames for faces already cropped;
                None = as the model was trained, ``mtcnn`` or ``none``.
            detector_file: ``yunet``: face_detection_yunet_2023mar.onnx of OpenCV Zoo.
            detect_every_frames: Where faces are detected: on every n-th frame; None = where
                they have to be, else they are followed on every 5th, if ``mtcnn`` finds them.
            min_face: Smallest face that is detected, as a share of the picture's shorter side;
                None = 0.1, and where that finds none 0.03.
            max_seconds: Judge only so much of it, and say so; None = all.
            max_minutes: Look for faces for half of this time, and judge what was reached by then;
                None = take all the time it needs.
            batch_size: Windows scored at once.
            evidence: Takes the windows that told most.
            overlay: Takes all, and writes a video of them.

        Raises:
            ModelRefused: ``detector_file`` is another file, or none.
        """
        path = Path(file)
        try:
            source, plan = self._plan(
                path,
                face_detector,
                detector_file,
                max_seconds,
                max_minutes=max_minutes,
                detect_every_frames=detect_every_frames,
                min_face=min_face,
            )
        except ModelRefused:  # the detector's file
            raise
        except ValueError as error:  # also what is wrong with a sidecar
            return self._cannot_tell(path, error)
        faces = JoinedShots([(t.start_frame, t.start_frame + len(t)) for t in plan.tracks])
        takers = [taker for taker in (evidence, overlay) if taker is not None]
        try:
            windows = list(self._scores(source, plan, faces, batch_size, takers))
            agreement = self._agreement(source, plan, faces, batch_size)
        except MediaError as error:
            return self._cannot_tell(path, error)
        scores = [score for score in windows if score is not None]
        smallest = plan.smallest_face_pixels
        verdict = judge(
            str(file),
            scores,
            self.rule,
            num_frames=plan.num_frames,
            face_frames=_face_frames(plan, faces.tracks_of({score.track for score in scores})),
            model_fingerprint=self.fingerprint,
            skipped=[
                *notes.of_skipped(plan.num_dropped_tracks, len(windows) - len(scores)),
                *self._draw(overlay, source, plan, faces),
            ],
            abstentions=[*notes.abstentions(plan, self.input)],
            warnings=[
                *notes.of_shots(faces),
                *notes.of_starter(self.starter),
                *([notes.UNCALIBRATED] if self.rule.calibration.kind == "none" else []),
                *notes.of_file(plan),
            ],
            smallest_face_pixels=None if smallest is None else math.ceil(smallest),
        )
        if self.stage_one is None:
            return verdict
        return replace(verdict, agreement=agreement, agreement_model=self.stage_one.fingerprint)

    def heat_maps(
        self,
        crops: np.ndarray | Tensor,
        landmarks: np.ndarray | Tensor | None = None,
        method: HeatMethod = "grad_cam",
    ) -> Tensor:
        """Which pixels the scores of clips come from, see `avkd.inference.heat_maps`.

        Args:
            crops: As of `preprocess`.
            landmarks: As of `preprocess`.
            method: Which.

        Returns:
            (B, L, s, s) float32 in [0, 1] over the views that the network sees.
        """
        return heat_maps(self.model, self.preprocess(crops, landmarks), method).cpu()

    def show(
        self, crops: np.ndarray, points: np.ndarray, *, method: HeatMethod | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The middle frame of a window as the network sees it, and its heat map; see `Evidence`."""
        views = self.preprocess(crops[None], points[None])
        middle = len(crops) // 2
        picture = transforms.as_pictures(views[0])[0, middle]
        if method is None:
            return picture, None
        return picture, heat_maps(self.model, views, method)[0, middle].cpu().numpy()

    def features(
        self,
        file: str | Path,
        *,
        face_detector: FaceDetector | None = None,
        detector_file: str | Path | None = None,
        max_seconds: float | None = None,
        batch_size: int = 8,
    ) -> FileFeatures:
        """Features of every frame of every window of a file; arguments as of `predict`.

        Raises:
            ValueError: the file cannot be read, or shows no face; names it.
        """
        path = Path(file)
        source, plan = self._plan(path, face_detector, detector_file, max_seconds)
        found = list(self._outputs(source, plan, batch_size))
        if not found:
            raise ValueError(f"{path}: no window with a face in it")
        clips = [clip for batch, _ in found for clip in batch]
        logits, features, importance = zip(*(output for _, output in found), strict=True)

        def joined(parts: Sequence[Tensor]) -> Tensor:
            return torch.cat(list(parts)).float().cpu()

        return FileFeatures(
            tracks=torch.tensor([clip.track for clip in clips]),
            start_frames=torch.tensor([clip.start_frame for clip in clips]),
            features=joined(features),
            importance=None if importance[0] is None else joined(importance),
            logits=joined(logits),
        )

    @property
    def face_detector(self) -> FaceDetector:
        """Where faces come from, unless said otherwise: as in training."""
        return "none" if self.input.faces == "whole" else "mtcnn"

    @torch.no_grad()
    def _output(self, crops: np.ndarray | Tensor, landmarks: np.ndarray | Tensor | None) -> Any:
        """The network's output, always in fp32, of B clips."""
        with step("network"):
            return self.model(*self.preprocess(crops, landmarks))

    def _plan(
        self,
        path: Path,
        face_detector: FaceDetector | None,
        detector_file: str | Path | None,
        max_seconds: float | None,
        max_minutes: float | None = None,
        detect_every_frames: int | None = None,
        min_face: float | None = None,
    ) -> tuple[SourceFile, FilePlan]:
        """Where the faces of a file are; arguments as of `predict`.

        Raises:
            ValueError: it cannot be judged; says why.
        """
        deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes / 2
        source = SourceFile(
            path,
            _kind_of(path),
            max_seconds,
            with_sound=self.stage_one is not None,
            shorten_jumps=True,
            keep=True,
            deadline=deadline,
        )
        if source.kind == "image" and self.input.clip_frames > 1:
            detail = "a picture, but this model judges videos; give one of `avkd distill`"
            raise MediaError("single_picture", path, detail)
        return source, plan_tracks(
            source,
            detector=face_detector or self.face_detector,
            detector_file=None if detector_file is None else Path(detector_file),
            detect_every_frames=detect_every_frames or DETECT_EVERY_FRAMES,
            follow=detect_every_frames is None,
            min_face_fraction=min_face,
            # An image detector has no use for a face that stays: every glimpse is judged.
            min_frames=MIN_FRAMES if self.input.clip_frames > 1 else 1,
            crop_pixels=self.input.crop_pixels,
            crop_margin=self.input.crop_margin,
        )

    def _outputs(
        self, source: SourceFile, plan: FilePlan, batch_size: int
    ) -> Iterator[tuple[list[FileClip], Any]]:
        """The clips of a file, batch by batch, and what the network makes of them."""
        clips = clips_of(source, plan, self.input)
        while batch := list(islice(clips, batch_size)):
            crops = np.stack([clip.crops for clip in batch])
            yield batch, self._output(crops, np.stack([clip.points for clip in batch]))

    def _scores(
        self,
        source: SourceFile,
        plan: FilePlan,
        faces: JoinedShots,
        batch_size: int,
        takers: "Sequence[Evidence | Overlay]",
    ) -> Iterator[WindowScore | None]:
        """Every window with its score; None where the network gave no finite number."""
        for batch, output in self._outputs(source, plan, batch_size):
            importance = [None] * len(batch)
            if output.importance is not None:
                importance = output.importance.tolist()
            for clip, logit, weights in zip(batch, output.logit.tolist(), importance, strict=True):
                face = faces.face_of(clip.track, clip.crops)
                score = None
                if math.isfinite(logit):
                    score = _scored(face, clip, logit, self.rule, weights)
                    for taker in takers:
                        taker.add(score, clip.crops, clip.points)
                yield score

    def _cannot_tell(self, path: Path, error: ValueError) -> Verdict:
        if isinstance(error, MediaError):
            note = Note(code=error.code, message=error.detail)  # the verdict names the file itself
        else:
            note = Note(code="bad_input", message=str(error))  # as `prepare` says it
        return Verdict(
            file=str(path),
            decision="cannot_tell",
            reason=note.message,
            skipped=(note,),
            model_fingerprint=self.fingerprint,
            warnings=tuple(notes.of_starter(self.starter)),
        )

    def _draw(
        self, overlay: "Overlay | None", source: SourceFile, plan: FilePlan, faces: JoinedShots
    ) -> Iterator[Note]:
        """Write the overlay of a video; why there is none, where it cannot be written."""
        if overlay is None or source.kind == "image":
            return
        try:
            overlay.write(source, plan.tracks, faces.face_of_track, self.rule.threshold)
        except (OSError, MediaError) as error:
            yield Note(code="no_overlay", message=f"{overlay.path.name}: no overlay ({error})")

    def _agreement(
        self, source: SourceFile, plan: FilePlan, faces: JoinedShots, batch_size: int
    ) -> tuple[FaceAgreement, ...]:
        """The second opinion on every face; none of a picture, which has no sound."""
        if self.stage_one is None or source.kind != "video":
            return ()
        tracks = dict(enumerate(plan.tracks))
        return self.stage_one.opinions(source, tracks, faces.face_of_track, batch_size)


def load_model(
    path_or_name: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    engine: Engine = "auto",
) -> FilePredictor:
    """A trained detector, by file or by the name of one that ships with avkd.

    >>> import avkd
    >>> model = avkd.load_model("starter-fast")
    >>> model.input.clip_frames  # it looks at single frames
    1

    Args:
        path_or_name: A model file of `avkd finetune`, `avkd distill` or `avkd export`, or one of
            ``avkd.list_models("weights")``.
        device: ``cpu``, ``cuda``, ``cuda:1`` ...; ``auto`` = a GPU where there is one.
        threads: Threads on a CPU; None = as torch has them.
        engine: What computes an ONNX file, see `onnx_file.load`.

    Raises:
        ModelFileError: the file is no detector, or damaged; says what to do.
        FileNotFoundError: there is no such file; names the models that ship with avkd.
    """
    path = Path(path_or_name)
    if str(path) in {*list_models()} - {*starter.STARTERS} and not path.exists():
        cure = f"a network without weights: avkd.create_model({str(path)!r})"
        raise FileNotFoundError(f"{path}: no such model file; {cure}")
    return FilePredictor.load(path, runtime.start(device=device, threads=threads), engine)


def features(model: FilePredictor | str | Path, file: str | Path, **options: Any) -> FileFeatures:
    """Per-frame features, and importance where the network has attention, of a video or picture.

    >>> import avkd
    >>> found = avkd.features("starter-fast", "picture.png", face_detector="none")
    >>> found.features.shape[:2], found.importance  # one window of one frame, no attention
    (torch.Size([1, 1]), None)

    Args:
        model: What `load_model` gives, or takes.
        file: The file.
        **options: As of `FilePredictor.features`.

    Raises:
        ValueError: the file cannot be read, or shows no face; names it.
    """
    predictor = model if isinstance(model, FilePredictor) else load_model(model)
    return predictor.features(file, **options)


def _kind_of(path: Path) -> FileKind:
    """By content, and where that is too damaged to tell by name.

    Raises:
        MediaError: no regular file, or one that is empty or cannot be read.
    """
    check_regular_file(path)
    try:
        kind = kind_of(path) or ("image" if is_picture_name(path.name) else "video")
    except OSError as error:
        raise MediaError("io_error", path, f"cannot be read ({error.strerror})") from error
    return "animation" if kind == "image" and is_animation(path) else kind


def _scored(
    face: int, clip: FileClip, logit: float, rule: DecisionRule, weights: Sequence[float] | None
) -> WindowScore:
    """A window with its score; the weights of copied frames are their last one's."""
    num_frames = clip.place.num_frames
    if weights is not None:
        weights = (*weights[: num_frames - 1], math.fsum(weights[num_frames - 1 :]))
    return WindowScore(
        track=face,
        start_frame=clip.start_frame,
        num_frames=num_frames,
        start_seconds=clip.start_frame / FRAMES_PER_SECOND,
        end_seconds=(clip.start_frame + num_frames) / FRAMES_PER_SECOND,
        logit=logit,
        probability=rule.probability(logit),
        num_repeated=clip.place.num_repeated,
        importance=None if weights is None else tuple(round(w, 6) for w in weights),
    )


def _face_frames(plan: FilePlan, judged: set[int]) -> int:
    """Frames of the file that lie in a judged track."""
    tracks = [plan.tracks[number] for number in judged]
    spans = (range(track.start_frame, track.start_frame + len(track)) for track in tracks)
    return len(set().union(*spans))
