"""From configs to data, and the verbs that make data.

Training data are checked here, once, before anything is trained: no identity in two splits, also
across corpora, and nothing silently left out.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avkd.blending.blenders import BLENDERS
from avkd.blending.online_forgery import OnlineForgery
from avkd.config.data_config import PrepareConfig
from avkd.config.image_config import DistillConfig
from avkd.config.training_config import FinetuneConfig, PretrainConfig, Region
from avkd.data import inventory
from avkd.data.clip_items import ClipItem, undamaged
from avkd.data.datasets import Corpus, TrainingClips, fingerprint_of
from avkd.data.faces.face_tracks import DETECT_EVERY_FRAMES
from avkd.data.layouts import lrw, read_tree
from avkd.data.manifest import REAL, REAL_METHOD, Manifest, Split, check_identities
from avkd.data.model_input import Faces, ModelInput
from avkd.data.online_fakes import OnlineFakes, shown_for_validation
from avkd.data.selection import evenly_spread, undersample
from avkd.data.transforms import CLIP_FRAMES, Augmentation
from avkd.outcome import ExitCode, Outcome

if TYPE_CHECKING:
    from avkd.data.prepare import PrepareReport

logger = logging.getLogger(__name__)

_ZOOM: dict[Region, tuple[float, float]] = {
    "face": (0.0, 0.0),
    "mouth": (1.0, 1.0),
    "mixed": (0.0, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class StageData:
    """What a stage is trained on, and selected or measured on."""

    training: TrainingClips
    validation: list[ClipItem]
    provenance: dict[str, Any]
    num_real_items: int = 0
    """How many of the training items, the last ones, are of further real corpora."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """Digests of the stored tracks, by what they are for."""
        used = {"data": self.training.items, "validation data": self.validation}
        return {name: fingerprint_of(items) for name, items in used.items()}

    @property
    def forgeries(self) -> list[ClipItem]:
        """The other training items: of the corpora that hold forgeries."""
        return self.training.items[: len(self.training) - self.num_real_items]

    @property
    def sources(self) -> list[int | None]:
        """Place of the real item each of `forgeries` was made from; None = not there, or real."""
        place = {item.sample.sample_id: index for index, item in enumerate(self.forgeries)}
        return [place.get(item.sample.source_id or "") for item in self.forgeries]


def run_prepare(config: PrepareConfig) -> Outcome:
    """`avkd prepare`."""
    manifest = read_layout(config)
    if config.split is not None:
        manifest = manifest.of_split(config.split)
    for note in manifest.notes:
        logger.info("%s", note)
    if config.layout == "lrw":
        lrw.write_subset_list(config.out / "subset.txt", manifest)
    report = prepare_files(config, manifest)
    num_inputs = sum(report.codes.values())
    failed = num_inputs - report.num_ok
    lines = [
        f"{report.num_ok} of {num_inputs} files prepared in {config.out} "
        f"({report.num_new} of them now, {report.seconds:.0f} s)",
        *(f"  {count} x {code}" for code, count in report.codes.items() if code != "ok"),
        *(f"  {count} flagged {flag}" for flag, count in report.flags.items()),
    ]
    if failed:
        lines.append(f"  reasons, file by file: {config.out / 'report.jsonl'}")
    code = ExitCode.SOME_SKIPPED if failed else ExitCode.DONE
    return Outcome("\n".join(lines), code if report.num_ok else ExitCode.NOTHING_USABLE)


def prepare_files(config: PrepareConfig, manifest: Manifest) -> "PrepareReport":
    """Prepare the files of ``manifest``, which may be fewer than `read_layout` finds.

    Raises:
        ValueError: as `prepare.prepare`.
    """
    # Late: training reads no media and needs no PyAV.
    from avkd.data.perturbations.perturbations import Perturbation
    from avkd.data.prepare import prepare
    from avkd.data.prepare_file import PrepareSettings

    perturbation = None
    if config.perturbation is not None and config.severity is not None:
        faces = config.faces or "perturbed"
        perturbation = Perturbation(name=config.perturbation, severity=config.severity, faces=faces)
    settings = PrepareSettings(
        detector=config.detector,
        detect_every_frames=config.detect_every_frames or DETECT_EVERY_FRAMES,
        max_seconds=config.max_seconds,
        crop_size=config.crop_pixels,
        crop_margin=config.crop_margin,
        perturbation=perturbation,
    )
    return prepare(
        manifest,
        config.out,
        settings,
        detector_file=config.detector_file,
        timeout_seconds=config.timeout_seconds,
        workers=config.workers,
        shard=config.shard_numbers,
    )


def read_layout(config: PrepareConfig) -> Manifest:
    """Walk the dataset of a `prepare` config.

    Raises:
        ValueError: the tree is not of that layout, or an option has no effect on it.
    """
    manifest = read_tree(config.layout, config.source, config.options.given())
    return manifest if config.dataset is None else manifest.with_dataset(config.dataset)


def pretrain_data(config: PretrainConfig) -> StageData:
    """Open the corpora of stage one.

    Raises:
        ValueError: an identity is in two splits, or too few usable clips in one of them.
    """
    corpora = [Corpus.open(folder) for folder in config.data]
    faces = _faces(corpora)
    margin = corpora[0].crop_margin
    if config.region != "face" and margin != 1.0:
        raise ValueError(
            f"region {config.region} is a part of crops with margin 1, those of "
            f"{_names(config.data)} have {margin:g}: prepare them with --crop_margin 1, or use "
            "--region face"
        )
    if config.region != "face" and faces != "aligned":
        raise ValueError(
            f"region {config.region} needs aligned faces; the crops of {_names(config.data)} are "
            "whole pictures, whose mouths have no known place: use --region face"
        )
    training, validation = talking_clips(corpora, "val", most=config.validation_clips)
    wanted = config.training_clips or len(training)
    if wanted > len(training):
        raise ValueError(
            f"training_clips {wanted}: {_names(config.data)} have {len(training)} for training"
        )
    training = evenly_spread(training, wanted)
    logger.info("stage one: %d training clips, %d held out", len(training), len(validation))
    seen = ModelInput(
        image_size=config.video.image_size,
        region="face" if config.region == "face" else "mouth",
        motion_only=config.motion_only,
    )
    zoom = _ZOOM[config.region]
    return _stage_data(config, corpora, training, validation, seen, zoom=zoom, with_sound=True)


def talking_clips(
    corpora: Sequence[Corpus], split: Literal["val", "test"], *, most: int
) -> tuple[list[ClipItem], list[ClipItem]]:
    """Real clips with sound, long enough for a window: of the training split, and held out.

    Of those held out in ``split`` at most ``most``, evenly over the list, and none that is damaged.

    Raises:
        ValueError: an identity is in two splits, or too few usable clips in one of them.
    """
    _check_all_identities(corpora)
    items = [
        item for item in _items(corpora) if item.sample.label == REAL and item.sample.has_audio
    ]
    training = [item for item in items if item.sample.split == "train"]
    held_out = evenly_spread([item for item in items if item.sample.split == split], most)
    held_out = undamaged(held_out, f"{split} split")
    names = _names(corpus.folder for corpus in corpora)
    sizes = sorted({item.crop_pixels for item in (*training, *held_out)})
    if len(sizes) > 1:
        raise ValueError(
            f"the crops of {names} have {' and '.join(map(str, sizes))} pixels; prepare all of "
            f"them with --crop_pixels {sizes[-1]}"
        )
    if len(held_out) < 8:
        raise ValueError(
            f"only {len(held_out)} real clips with sound in the {split} split of {names}; "
            "held-out retrieval needs 8 or more: hold out more speakers"
        )
    if not training:
        raise ValueError(f"no training clip: the train split of {names} is empty")
    return training, held_out


def finetune_data(
    config: FinetuneConfig, *, image_size: int, teacher_input: ModelInput | None = None
) -> StageData:
    """Open the corpora of stage two, for a detector and, if any, for a teacher of the same clips.

    Raises:
        ValueError: an identity is in two splits, an excluded method is in no corpus, or a class is
            missing in train or val.
    """
    forgery_corpora = [Corpus.open(folder) for folder in config.data]
    real_corpora = [Corpus.open(folder) for folder in config.real_data]
    corpora = [*forgery_corpora, *real_corpora]
    _check_all_identities(corpora)
    _check_excluded(forgery_corpora, config.exclude_methods)
    if teacher_input is not None:
        for corpus in corpora:
            corpus.require_faces(teacher_input, "the teacher of stage one")

    stored = _items(forgery_corpora, "train", config.exclude_methods)
    further = _only_real(_items(real_corpora, "train", config.exclude_methods))
    validation = _items(forgery_corpora, "val", config.exclude_methods)
    training, validation, online = _as_shown(config, stored, validation)
    logger.info(
        "stage two: %s for training, %d further real clips, %d files for validation",
        inventory.name_counts(item.sample.method for item in training),
        len(further),
        len(validation),
    )
    return _stage_data(
        config,
        corpora,
        training,
        validation,
        ModelInput(image_size=image_size),
        further=further,
        excluded_methods=config.exclude_methods,
        teacher_zoom=None if teacher_input is None else (teacher_input.zoom,) * 2,
        online=online,
    )


def distill_data(config: DistillConfig, *, clip_frames: int, landmarks: bool) -> StageData:
    """Open the corpora of the image branch: pictures, or frames of prepared videos.

    The network judges ``clip_frames`` consecutive frames at once, with their landmarks or without.

    Raises:
        ValueError: an identity is in two splits, a class is missing in one of them, or the corpora
            hold different kinds or sizes of crops.
    """
    corpora = [Corpus.open(folder) for folder in config.data]
    excluded = config.select.exclude_methods
    _check_all_identities(corpora)
    _check_excluded(corpora, excluded)

    def items(split: Split, size: int | None) -> list[ClipItem]:
        return undersample(
            _items(corpora, split, excluded, num_frames=clip_frames),
            ratio=config.select.parts,
            size=size,
            seed=config.loop.seed,
            key=lambda item: item.sample,
        )

    training, validation, online = _as_shown(
        config, items("train", config.select.size), items("val", None)
    )
    methods = inventory.name_counts(item.sample.method for item in training)
    logger.info("%s for training, %d files for validation", methods, len(validation))
    seen = ModelInput(
        clip_frames=clip_frames,
        view_share=config.view_share,
        image_size=config.model.image_size,
        windows_per_file=config.frames_per_file,
        landmarks=landmarks,
    )
    return _stage_data(
        config, corpora, training, validation, seen, excluded_methods=excluded, online=online
    )


def _stage_data(
    config: PretrainConfig | FinetuneConfig | DistillConfig,
    corpora: Sequence[Corpus],
    training: Sequence[ClipItem],
    validation: list[ClipItem],
    seen: ModelInput,
    *,
    further: Sequence[ClipItem] = (),
    excluded_methods: Sequence[str] | None = None,
    zoom: tuple[float, float] = (0.0, 0.0),
    teacher_zoom: tuple[float, float] | None = None,
    with_sound: bool = False,
    online: OnlineFakes | None = None,
) -> StageData:
    """The data of a stage; ``seen`` is what the network asks for, completed by what crops show."""
    items = [*training, *further]
    clips = TrainingClips(
        items,
        model_input=replace(
            seen,
            faces=_faces(corpora),
            crop_margin=corpora[0].crop_margin,
            crop_pixels=items[0].crop_pixels,
        ),
        seed=config.loop.seed,
        augmentation=Augmentation(**vars(config.views), zoom=zoom),
        with_sound=with_sound,
        teacher_zoom=teacher_zoom,
        online=online,
        cache_bytes=round(config.loop.cache_gigabytes * 1e9),
    )
    provenance: dict[str, Any] = {
        "data": [{"name": c.folder.name, "fingerprint": c.manifest.fingerprint} for c in corpora],
        "training_clips": len(items),
    }
    if excluded_methods is not None:
        provenance["training_methods"] = sorted({item.sample.method for item in training})
        provenance["excluded_methods"] = sorted(excluded_methods)
    return StageData(
        training=clips,
        validation=validation,
        provenance=provenance,
        num_real_items=len(further),
    )


def _check_all_identities(corpora: Sequence[Corpus]) -> None:
    unknown = check_identities(s for corpus in corpora for s in corpus.manifest.samples)
    if unknown:
        logger.info("%d samples have no known identity; their split could not be checked", unknown)


def _items(
    corpora: Sequence[Corpus],
    split: Split | None = None,
    excluded_methods: Sequence[str] = (),
    *,
    num_frames: int = CLIP_FRAMES,
) -> list[ClipItem]:
    """Tracks of a split, None = of all, that are long enough for a clip."""
    items = []
    for corpus in corpora:
        samples = corpus.manifest.samples
        long = [s for s in samples if s.num_frames is not None and s.num_frames >= num_frames]
        if left_out := len(samples) - len(long):
            logger.info(
                "%s: left out %d clips shorter than %d frames", corpus.folder, left_out, num_frames
            )
        items += corpus.items(
            s for s in long if split in (None, s.split) and s.method not in excluded_methods
        )
    return items


def _faces(corpora: Sequence[Corpus]) -> Faces:
    """What the crops of all corpora show; of two kinds, the kind would tell the label."""
    first, *others = corpora
    for corpus in others:
        corpus.require_faces(first, first.folder)
    return first.faces


def _check_excluded(corpora: Sequence[Corpus], excluded: Sequence[str]) -> None:
    methods = {s.method for corpus in corpora for s in corpus.manifest.samples} - {REAL_METHOD}
    if unknown := sorted(set(excluded) - methods):
        raise ValueError(
            f"exclude_methods: no {unknown[0]!r} in {_names(c.folder for c in corpora)}; "
            f"methods there: {', '.join(sorted(methods))}"
        )


def _only_real(items: Sequence[ClipItem]) -> list[ClipItem]:
    return [item for item in items if item.sample.label == REAL]


def _as_shown(
    config: FinetuneConfig | DistillConfig, training: list[ClipItem], validation: list[ClipItem]
) -> tuple[list[ClipItem], list[ClipItem], OnlineFakes | None]:
    """What is trained on, val as it is shown, and what forges and degrades in training."""
    forgery = online = None
    if config.fakes == "online":
        training, validation = _only_real(training), _only_real(validation)
    if config.fakes != "stored":
        given = vars(config.online)
        excluded = given["exclude_blenders"]
        apart = ("exclude_blenders", "stored_share", "match_looks")
        forgery = OnlineForgery(
            blenders=tuple(name for name in BLENDERS if name not in excluded),
            **{name: value for name, value in given.items() if name not in apart},
        )
        if not forgery.blenders:
            raise ValueError("online.exclude_blenders excludes every blending method; keep one")
    if forgery is not None or config.degradation:
        # Another person's face is looked for in the same split, so in a list of one split.
        online = OnlineFakes(
            training, forgery, config.degradation, match_looks=config.online.match_looks
        )
        validation = shown_for_validation(OnlineFakes(validation, forgery, config.degradation))
    for split, items in (("train", training), ("val", validation)):
        labels = {item.sample.label for item in items}
        if split == "train" and config.fakes == "online" and REAL in labels:
            continue  # the fake ones are made of these
        if len(labels) < 2:
            raise ValueError(
                f"the {split} split of {_names(config.data)} holds "
                f"{'no clip' if not labels else 'one class only'}; both real and fake ones are "
                "needed"
                + ("" if REAL not in labels else ", or --fakes online, which makes them of real")
            )
    return training, validation, online


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
