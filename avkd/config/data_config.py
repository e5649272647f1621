"""Settings of the verbs that make or examine data: synth, prepare, doctor, forge."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from avkd.config.shared import ShardConfig, WorkersConfig, at_least, require, require_data

Layout = Literal[
    "lrw", "faceforensics", "faceshifter", "celebdf", "dfdc_train", "dfdc_test", "dfdc_preview",
    "deeperforensics", "fakeavceleb", "lavdf", "avdeepfake1m", "deepfakebench", "talking_faces",
    "real_fake", "manifest", "kaggle_deepfake_dataset", "kaggle_140k", "kaggle_real_images",
    "deepfake_faces", "wilddeepfake", "redface", "real_fake_images",
]  # fmt: skip

SEARCHING = ("mtcnn", "yunet")
"""Detectors that look for faces; of the others, they are known."""

PerturbationName = Literal[
    "saturation", "contrast", "blocks", "noise", "blur", "pixelation", "compression", "jpeg",
    "resize", "bar", "overlay_text", "cropping", "h264", "hevc", "av1", "vp9", "chain",
    "frame_rate", "sound_reencoding", "sound_noise", "sound_shift",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SynthConfig(WorkersConfig):
    """Generate a talking-face corpus in the trees of LRW, FaceForensics++ and Celeb-DF.

    Costs about a minute on two cores at the default size; nothing is downloaded.
    """

    out: Path
    """Folder to write the three trees into."""
    seed: int = 0
    """Same seed, same files."""
    identities: int = 24
    """People in each of the LRW-like and FF++-like trees, a multiple of 4; half in Celeb-DF's."""
    clips_per_identity: int = 5
    """Clips of each person in the LRW-like tree."""
    words: int = 6
    """Words spoken in the LRW-like tree, at most 8."""
    seconds: float = 1.6
    """Length of the clips of the two forgery trees."""

    def __post_init__(self) -> None:
        require(
            self.identities >= 8 and self.identities % 4 == 0,
            "identities must be a multiple of 4, at least 8, to fill three splits with pairs",
        )
        at_least(self, 0, "seed")
        at_least(self, 1, "clips_per_identity", "workers")
        require(1 <= self.words <= 8, "words must be in 1..8")
        require(self.seconds >= 1.0, "seconds must be at least 1, the length of one clip")


@dataclass(frozen=True, kw_only=True)
class LayoutConfig:
    """How a dataset's folder tree is read; only settings of the chosen layout may be given."""

    compression: Literal["c0", "c23", "c40"] | None = None
    """faceforensics, faceshifter, deepfakebench: which compression to read; unset = c23."""
    methods: tuple[str, ...] | None = None
    """faceforensics: forgery methods to read; unset = the four of the paper."""
    clips_per_word: int | None = None
    """lrw: training clips of every word, 0 = all; unset = 10, i.e. 5,000 over 500 words."""
    seed: int | None = None
    """Draws the subset (lrw) or the split; unset = 0. Without effect on an official split."""
    speaker_pattern: str | None = None
    """talking_faces: regular expression with a group `speaker`; unset = the first folder."""
    identity_pattern: str | None = None
    """real_fake, real_fake_images, redface: regular expression with a group `identity`; unset =
    the file's stem."""
    label_pattern: str | None = None
    """real_fake, real_fake_images, redface: regular expression with a group `label` (a name), and
    `method`, `platform`, `identity`, `split` where paths tell them; unset = by folder names."""
    val_fraction: float | None = None
    """Share of the files in the validation split; unset = 0.1. kaggle_*: give it together with
    test_fraction to replace the official split. wilddeepfake, dfdc_preview: share of the training
    split, for the latter unset = 0. fakeavceleb: as kaggle_*; unset = all in the test split."""
    test_fraction: float | None = None
    """Share of the files in the test split; unset = 0.1, for dfdc_train 0. With val_fraction 0.2
    that is 7:2:1."""
    variant: str | None = None
    """deeperforensics: folder of manipulated_videos to read; unset = end_to_end."""
    originals: str | None = None
    """deeperforensics: folder below the source that holds its real class, the originals of
    FaceForensics++ at c23 (000.mp4 and so on); unset = forgeries alone."""
    video_list: Path | None = None
    """dfdc_test, deeperforensics: file that names the videos to evaluate on, one a line; unset =
    all of them, or the official split."""
    index: str | None = None
    """deepfakebench: the index file, as a path from the source; unset = the only .json in it."""
    val_speakers: tuple[str, ...] | None = None
    """talking_faces: speakers of the validation split; unset = drawn by seed."""
    test_speakers: tuple[str, ...] | None = None
    """talking_faces: speakers of the test split; unset = drawn by seed."""

    def given(self) -> dict[str, Any]:
        """The settings that were set, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class TreeConfig:
    """The dataset."""

    source: Path
    """The dataset as downloaded: its folder, or a manifest file (.jsonl) of `avkd forge`."""
    layout: Layout
    """Which folder tree it is."""
    dataset: str | None = None
    """Name of the corpus in tables; unset = the layout's own name for it."""
    options: LayoutConfig = field(default_factory=LayoutConfig)
    """Settings of the layout."""


@dataclass(frozen=True, kw_only=True)
class CropsConfig(WorkersConfig):
    """Faces and crops."""

    detector: Literal["mtcnn", "yunet", "boxes", "none"] = "mtcnn"
    """Where faces come from: detected by MTCNN or YuNet, read from a .faces.json sidecar, or
    already cropped."""
    detector_file: Path | None = None
    """yunet: face_detection_yunet_2023mar.onnx of OpenCV Zoo; needs `pip install 'avkd[yunet]'`."""
    detect_every_frames: int | None = None
    """mtcnn, yunet: detect on every n-th frame and follow the face between; unset = 5."""
    crop_pixels: int = 150
    """Side of the stored crops; 150 for the video detector, 256 for pictures."""
    crop_margin: float = 1.0
    """Width of a crop relative to one from forehead to chin, e.g. 1.3 = with the whole outline."""
    faces: Literal["perturbed", "clean"] | None = None
    """mtcnn, yunet with a perturbation: frames on which faces are detected; unset = the perturbed
    ones, as in the wild. With the clean ones no file is lost to the face detector."""
    max_seconds: float | None = None
    """Read only so much of each file; unset = all of it."""
    timeout_seconds: float = 600.0
    """A file that takes longer is skipped and reported."""

    def check_crops(self) -> None:
        """Refuse what is out of range or without effect."""
        check_detection(self.detector, self.detect_every_frames, self.max_seconds)
        check_detector_file(self.detector, self.detector_file)
        require(32 <= self.crop_pixels <= 1024, "crop_pixels must be in 32..1024")
        require(0.5 <= self.crop_margin <= 4.0, "crop_margin must be in 0.5..4")
        require(
            self.crop_margin == 1.0 or self.detector != "none",
            "crop_margin has no effect with detector=none: the pictures are crops already",
        )
        at_least(self, 1, "workers")
        require(self.timeout_seconds > 0, "timeout_seconds must be positive")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig(TreeConfig, CropsConfig, ShardConfig):
    """Turn videos into one store of aligned face crops and 16 kHz sound, resumably."""

    out: Path
    """Folder of the prepared corpus."""
    split: Literal["train", "val", "test"] | None = None
    """Prepare only this split; unset = all."""
    perturbation: PerturbationName | None = None
    """Distort every whole frame before its faces are cut out, or the sound (`sound_...`), for a
    robustness table; the first seven are those of DeeperForensics. Unset = none."""
    severity: int | None = None
    """Strength of the perturbation, 1 to 5."""

    def __post_init__(self) -> None:
        self.check_crops()
        require(
            (self.perturbation is None) == (self.severity is None),
            "perturbation and severity belong together; give both or none",
        )
        require(self.severity is None or 1 <= self.severity <= 5, "severity must be in 1..5")
        require(
            self.faces is None or (self.perturbation is not None and self.detector in SEARCHING),
            "faces has no effect without a perturbation and a detector that searches; remove it",
        )
        self.check_shard()


@dataclass(frozen=True, kw_only=True)
class DoctorConfig(WorkersConfig):
    """Say what a dataset tree is, and whether training on it is sound; nothing is changed.

    Exit code 0: sound. 3: sound, with warnings. 4: not sound to train on (a class missing, people
    or content in two splits, the same content with two labels).
    """

    source: Path
    """The dataset as downloaded: its folder, or a manifest file (.jsonl)."""
    layout: Layout | None = None
    """Which folder tree it is; unset = the one that recognises it."""
    options: LayoutConfig = field(default_factory=LayoutConfig)
    """Settings of the layout."""
    read: Literal["names", "headers", "all"] = "headers"
    """Open no file; open each and decode its first picture; or decode everything."""
    timeout_seconds: float = 60.0
    """A file that takes longer counts as unreadable; with `--read all` long videos need more."""
    json: Path | None = None
    """File to write everything found into, with all names; unset = the table on the screen."""

    def __post_init__(self) -> None:
        at_least(self, 1, "workers")
        require(self.timeout_seconds > 0, "timeout_seconds must be positive")
        require(
            self.json is None or not self.json.is_dir(),
            f"json={self.json} is a folder; give a file",
        )


@dataclass(frozen=True, kw_only=True)
class ForgeConfig(WorkersConfig):
    """Make labelled forgeries from the real clips of a corpus, and re-encode the real clips.

    Every forgery shares identity, scene and codec with the real clip it was made from.
    """

    data: Path
    """Prepared corpus whose real clips are used; its source files must still be there."""
    out: Path
    """Folder to write videos, sidecars and the manifest into."""
    methods: tuple[str, ...] | None = None
    """self_blended, face_swap, mouth_reenactment, texture_resynthesis, warped_geometry,
    generator_artifacts; of the sound: sound_swapped, sound_shifted; unset = all."""
    sources: Path | None = None
    """Root of the videos the corpus was prepared from; unset = where they were then."""
    split: Literal["train", "val", "test"] | None = None
    """Forge only this split; unset = all."""
    clips_per_identity: int | None = None
    """At most so many real clips of each person; unset = all."""
    min_strength: float = 0.5
    """Weakest forgery, in 0..1."""
    max_strength: float = 1.0
    """Strongest forgery, in 0..1."""
    crf: int = 20
    """H.264 constant rate factor of real and forged clips alike; lower is better quality."""
    seed: int = 0
    """Same seed, same files."""

    def __post_init__(self) -> None:
        require(
            0.0 <= self.min_strength <= self.max_strength <= 1.0,
            "want 0 <= min_strength <= max_strength <= 1",
        )
        at_least(self, 0, "seed")
        at_least(self, 1, "clips_per_identity", "workers")
        require(0 <= self.crf <= 51, "crf must be in 0..51")


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Check every stored track of prepared corpora against its digest."""

    data: tuple[Path, ...]
    """Prepared corpora."""

    def __post_init__(self) -> None:
        require_data(self.data)


def check_detection(
    detector: str, detect_every_frames: int | None, max_seconds: float | None
) -> None:
    """What `prepare` and `predict` ask of their face settings.

    Raises:
        ValueError: out of range, or without effect on this detector.
    """
    if detect_every_frames is not None:
        require(detect_every_frames >= 1, "detect_every_frames must be at least 1")
        sentence = f"detect_every_frames has no effect with detector {detector}; remove it"
        require(detector in SEARCHING, sentence)
    require(max_seconds is None or max_seconds > 0, "max_seconds must be positive")


def check_detector_file(detector: str | None, detector_file: Path | None) -> None:
    """Refuse YuNet without its file, and the file without YuNet.

    Raises:
        ValueError: names both.
    """
    require(
        (detector == "yunet") == (detector_file is not None),
        "detector yunet and detector_file go together: give both or neither",
    )
