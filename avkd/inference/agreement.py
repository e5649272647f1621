"""Stage one as a second opinion: how far the picture of each face disagrees with the file's sound.

It never saw a forgery, has its own scale (`evaluation.av_agreement`) and takes no part in the
decision. Each face costs one more pass over the file; only one stretch of it is held at a time.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np

from avkd.data.clip_items import ClipItem
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.crops.crop_store import as_stored
from avkd.data.faces import face_crop
from avkd.data.faces.track_extraction import TrackPlan, cut_crops, sound_of_track
from avkd.data.manifest import Sample
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile
from avkd.data.model_input import ModelInput
from avkd.evaluation import av_agreement
from avkd.inference.verdict import FaceAgreement
from avkd.models.cross_modal_network import CrossModalNetwork
from avkd.models.model_file import ModelFileError
from avkd.runtime import Runtime

_MOST_TRACKS = 8  # in order of their number, which is that of their length; each costs a pass


@dataclass(frozen=True)
class StageOne:
    """The network of `avkd pretrain` with what it takes to ask it."""

    network: CrossModalNetwork
    input: ModelInput
    machine: Runtime
    fingerprint: str
    """First digits of its file's digest."""

    @classmethod
    def load(cls, path: Path, machine: Runtime, *, beside: ModelInput) -> "StageOne":
        """Read a model file of `avkd pretrain`.

        Args:
            path: The file.
            machine: Where it runs.
            beside: What the detector looks at: both are shown the same faces.

        Raises:
            ModelFileError: no stage-one file, damaged, or for faces that are cut in another way.
        """
        (network, header), seen = av_agreement.load_stage_one(path)
        if seen.faces != beside.faces:
            raise ModelFileError(
                f"{path}: stage one looks at faces {seen.faces!r}, the detector at "
                f"{beside.faces!r}; give one of the same corpora"
            )
        return cls(network.to(machine.device), seen, machine, header.fingerprint)

    def opinions(
        self,
        source: SourceFile,
        tracks: Mapping[int, TrackPlan],
        face_of: Mapping[int, int],
        batch_size: int,
    ) -> tuple[FaceAgreement, ...]:
        """What it says of each face, in order of their numbers.

        Args:
            source: The file after its first pass, which read its sound.
            tracks: By number.
            face_of: Number of the face that each judged track shows.
            batch_size: Windows at once.

        Raises:
            MediaError: the file cannot be read any more.
        """
        asked = sorted(face_of)[:_MOST_TRACKS]
        seconds: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        reasons: dict[int, list[str]] = defaultdict(list)
        for number in asked:
            found = self._judged(source, tracks[number], batch_size)
            if found.status == "no_sound" and source.counts["stopped_by_limit"]:
                reasons[face_of[number]].append("its sound was not reached in time, or it has none")
            elif found.message:
                reasons[face_of[number]].append(found.message)
            for frame, value in found.of_frames():
                second = (tracks[number].start_frame + frame) // FRAMES_PER_SECOND
                if np.isfinite(value):
                    seconds[face_of[number]][second].append(value)
        return tuple(
            FaceAgreement(
                track=face,
                disagreement=tuple((s, fmean(seconds[face][s])) for s in sorted(seconds[face])),
                reason="" if seconds[face] else "; ".join(dict.fromkeys(reasons[face])),
            )
            for face in sorted({face_of[number] for number in asked})
        )

    def _judged(
        self, source: SourceFile, track: TrackPlan, batch_size: int
    ) -> av_agreement.FileAgreement:
        sample = Sample(
            sample_id=source.path.name,
            path=".",
            kind="crops",
            label=0,  # not known, and not looked at
            dataset="",
            method="real",
            num_frames=len(track),
        )
        item = ClipItem(sample, _PassingCrops(source, _as_seen(track, self.input)))
        (found,) = av_agreement.judge(
            self.network,
            [item],
            model_input=self.input,
            machine=self.machine,
            batch_size=batch_size,
        )
        return found


def _as_seen(track: TrackPlan, seen: ModelInput) -> TrackPlan:
    """The same track, cut as stage one was trained on."""
    if seen.faces == "whole":
        scale = seen.crop_pixels / track.crop_pixels
        return replace(track, transforms=track.transforms * scale, crop_pixels=seen.crop_pixels)
    size, margin = seen.crop_pixels, seen.crop_margin
    transforms = face_crop.align_to_template(track.landmarks, size=size, margin=margin)
    return replace(track, transforms=transforms, crop_pixels=size)


class _PassingCrops:
    """A store of one track that is read once, in order of time, as one pass over its file."""

    def __init__(self, source: SourceFile, track: TrackPlan) -> None:
        self._track, self._sound = track, sound_of_track(source.sound, track)
        self._path = source.path
        self._crops = (crop for _, _, crop in cut_crops(source.frames(), [track]))
        self._passed = 0

    @property
    def root(self) -> Path:
        """Folder of the file."""
        return self._path.parent

    def crop_pixels(self, path: str) -> int:
        """Side of the crops."""
        return self._track.crop_pixels

    def digest(self, path: str) -> str:
        """Empty: nothing is stored."""
        return ""

    def verify(self, path: str) -> bool:
        """Nothing is stored that could be damaged."""
        return True

    def landmarks(self, path: str) -> np.ndarray:
        """(T, 5, 2) in pixels of the file's frames."""
        return self._track.landmarks

    def frames(self, path: str, start: int, count: int) -> np.ndarray:
        """(count, S, S, 3) uint8 RGB; ``start`` may not lie before the end of the last ones."""
        assert start >= self._passed, "the file is passed once"
        before = start - self._passed
        crops = [as_stored(crop) for crop in islice(self._crops, before, before + count)]
        self._passed = start + count
        if len(crops) < count:
            raise MediaError("io_error", self._path, "it got shorter while it was judged")
        return np.stack(crops)

    def waveform(self, path: str, start_frame: int, num_samples: int) -> np.ndarray | None:
        """(num_samples,) int16, padded with zeros; None = no sound. Asked for from frame 0 on."""
        if self._sound is None:
            return None
        assert start_frame == 0
        return np.pad(self._sound[:num_samples], (0, max(0, num_samples - len(self._sound))))
