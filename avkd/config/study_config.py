"""Settings of the verbs that run many models: robustness, compare, matrix, bench."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Literal

from avkd.config.data_config import CropsConfig, PerturbationName, PrepareConfig, TreeConfig
from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.image_config import ImageRecipeConfig, SelectionConfig
from avkd.config.shared import (
    BootstrapConfig,
    ComputeConfig,
    at_least,
    check_resamples,
    narrowed,
    require,
)
from avkd.config.training_config import LoopConfig, VideoModelConfig

AS_IS = "as_is"
ALL_METHODS = "all"
_MACHINE_SETTINGS = (
    *("workers", "cache_gigabytes", "device", "precision", "threads", "validate_every_epochs"),
)


@dataclass(frozen=True, kw_only=True)
class RobustnessConfig(TreeConfig, CropsConfig, BootstrapConfig, ComputeConfig):
    """Score models on a clean set and on it perturbed at increasing severity; table and curves.

    Cell by cell: perturb, cut out faces, score with every model, delete the crops. Finished cells
    are kept: after an interruption run the same command again. Longer lists of models,
    perturbations or severities may be given later and add to what is there.
    """

    models: tuple[Path, ...]
    """Model files of `avkd finetune` or `avkd distill`; for av_agreement of `avkd pretrain`."""
    out: Path
    """Folder for scores, robustness.md, robustness.csv and robustness.png."""
    perturbations: tuple[PerturbationName, ...] = (
        *("saturation", "contrast", "blocks", "noise", "blur", "pixelation", "compression"),
    )
    """One row of the table each; unset = those of DeeperForensics."""
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    """One column each; 1 to 5."""
    scorer: Literal["detector", "av_agreement"] = "detector"
    """As in `avkd evaluate`: detector is video-only, av_agreement uses the sound as well."""
    split: Literal["train", "val", "test"] = "test"
    """Split to score."""
    methods: tuple[str, ...] | None = None
    """Only these forgery methods (and the real videos); unset = all."""
    files_per_method: int | None = None
    """Draw so many real files and so many of each method, the same in every cell; unset = all."""
    keep_corpora: bool = False
    """Keep the crops of every cell in out/corpora; they need the disk space of as many corpora."""
    seed: int = 0
    """Draws the files of files_per_method, and the bootstrap."""

    def __post_init__(self) -> None:
        for name in ("models", "perturbations", "severities"):
            values: Sequence[object] = getattr(self, name)
            require(len(values) > 0, f"{name} is empty: give at least one")
            require(len(set(values)) == len(values), f"{name}: each only once")
        of_sound = [name for name in self.perturbations if name.startswith("sound_")]
        require(
            not of_sound or self.scorer == "av_agreement",
            f"perturbations: {', '.join(of_sound[:1])} has no effect on a detector, which is "
            "video-only; leave it out, or give --scorer av_agreement and models of avkd pretrain",
        )
        require(
            self.files_per_method is None or self.files_per_method >= 2,
            "files_per_method: want at least 2; one file has no interval",
        )
        self.evaluate_config(self.models[0], Path("corpus"), self.out)
        for perturbation in self.perturbations:
            for severity in self.severities:
                self.prepare_config(perturbation, severity, self.out)

    def prepare_config(
        self, perturbation: PerturbationName | None, severity: int | None, out: Path
    ) -> PrepareConfig:
        """The `avkd prepare` command of a cell; without a perturbation that of the clean one.

        Raises:
            ValueError: it would be refused.
        """
        faces = None if perturbation is None else self.faces
        return narrowed(
            self, PrepareConfig, out=out, perturbation=perturbation, severity=severity, faces=faces
        )

    def evaluate_config(self, model: Path, corpus: Path, out: Path) -> EvaluateConfig:
        """The `avkd evaluate` command of a cell; its corpus holds only the wanted methods.

        Raises:
            ValueError: it would be refused.
        """
        return narrowed(
            self,
            EvaluateConfig,
            model=model,
            data=(corpus,),
            out=out,
            methods=None,
            tables_only=True,
        )


@dataclass(frozen=True, kw_only=True)
class BenchConfig(ComputeConfig):
    """Frames per second of image models, each relative to the first, in turn within one run."""

    models: tuple[str, ...]
    """Model files of `avkd distill`, ONNX files of `avkd export`, or names of networks (speed needs
    no training)."""
    image_size: int = 224
    """Side of the input of networks given by name, in pixels."""
    batch_size: int = 32
    """Pictures at once."""
    rounds: int = 10
    """How often all models take their turn."""
    data: Path | None = None
    """Prepared corpus: also measure end to end, reading and decoding its pictures."""
    out: Path | None = None
    """Also write the table as Markdown to this file."""

    def __post_init__(self) -> None:
        require(
            len(self.models) >= 2,
            "models: give two or more; a speed alone means little on a busy machine",
        )
        require(self.batch_size >= 1 and self.rounds >= 3, "want batch_size >= 1 and rounds >= 3")
        require(16 <= self.image_size <= 1024, f"image_size {self.image_size}: want 16..1024")


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Runs and intervals."""

    seeds: tuple[int, ...] = (0,)
    """One run of every training for each."""
    bootstrap_resamples: int = 2000
    """Resamples of the files behind each 95 % interval."""
    resume_changed: bool = False
    """Go on with stopped runs although data, precision or code are no longer the same."""

    def check_study(self) -> None:
        """Refuse what gives no runs or no interval."""
        unique = bool(self.seeds) and len(set(self.seeds)) == len(self.seeds)
        is_list = unique and min(self.seeds) >= 0
        require(is_list, f"seeds {list(self.seeds)}: want one or more, each once, from 0")
        check_resamples(self.bootstrap_resamples)


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """One set of a comparison: its training and validation splits train, its test split tests."""

    name: str
    """Name in the tables."""
    data: tuple[Path, ...]
    """Prepared corpora."""
    train: bool = True
    """false: only tested on."""

    def __post_init__(self) -> None:
        require(bool(self.data), f"set {self.name}: data is empty")


@dataclass(frozen=True, kw_only=True)
class RunConfig(ImageRecipeConfig):
    """One way to train an image model; settings as in `avkd distill`."""

    name: str
    """Name in the tables."""
    teacher: str | None = None
    """Name of an earlier run (its model of the same set, ratio and seed), or a model file."""
    epochs: int = 20
    """Passes over the training samples."""
    batch_size: int = 32
    """Samples a step."""
    seeds: tuple[int, ...] | None = None
    """Only these seeds (a teacher trained once); unset = those of the comparison."""


@dataclass(frozen=True, kw_only=True)
class CompareConfig(StudyConfig):
    """Train and test a list of image models on a list of sets and ratios; one table of all.

    Finished runs are kept and stopped ones resumed: run the same command again.
    """

    sets: tuple[SetConfig, ...]
    """What to train and test on."""
    runs: tuple[RunConfig, ...]
    """What to train on every set, at every ratio and seed."""
    out: Path
    """Folder for runs, scores, compare.md, compare.csv and confusion matrices."""
    ratios: tuple[str, ...] = (AS_IS,)
    """real:fake of the training samples, e.g. 1:1; as_is = all."""
    select: SelectionConfig = field(default_factory=SelectionConfig)
    """Further under-sampling; its ratio is that of `ratios`."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=1))
    """Device, threads, workers, cache; length, batch and seed are those of runs and `seeds`."""
    frames_per_file: int = 32
    """Frames spread over a video."""
    bench_rounds: int = 5
    """Rounds of the paired speed measurement; 0 = none."""

    def __post_init__(self) -> None:
        _check_names("set", [one.name for one in self.sets])
        _check_names("run", self.run_names)
        self.check_study()
        require(any(one.train for one in self.sets), "sets: none is trained on")
        require(self.select.ratio is None, "select.ratio has no effect here; list it in ratios")
        others = {k: v for k, v in vars(self.loop).items() if k not in _MACHINE_SETTINGS}
        require(
            others == {k: v for k, v in vars(LoopConfig(epochs=1)).items() if k in others},
            f"loop: only {', '.join(_MACHINE_SETTINGS)} have an effect here; "
            "epochs and batch_size belong to the runs, seeds to seeds",
        )
        require(
            bool(self.ratios) and self.bench_rounds >= 0,
            "want at least one ratio, and bench_rounds >= 0",
        )
        for ratio in self.ratios:
            if ratio != AS_IS:
                SelectionConfig(ratio=ratio)
        for position, run in enumerate(self.runs):
            for seed in run.seeds or ():
                known = seed in self.seeds
                require(known, f"run {run.name}: seed {seed} is not one of {self.seeds}")
            require(
                run.teacher not in self.run_names[position:],
                f"run {run.name}: its teacher {run.teacher} must come before it",
            )

    @property
    def run_names(self) -> list[str]:
        """Names of the runs, in order."""
        return [run.name for run in self.runs]


@dataclass(frozen=True, kw_only=True)
class MatrixTraining:
    """One row of the matrix: a recipe that is trained at every seed, or an existing model."""

    name: str
    """Name in the tables and folders."""
    finetune: Path | None = None
    """YAML of `avkd finetune` to train by; its run, seed and resume are set by the matrix."""
    pretrain: Path | None = None
    """YAML of `avkd pretrain`: stage one, which `finetune` starts from and is taught by, trained
    first at every seed, once for all trainings that name this file; unset = the recipe's."""
    backbones: tuple[VideoModelConfig, ...] = ()
    """A row for each backbone of both stages, stage one's at its own image_size; unset = the
    recipes'."""
    clips: tuple[int, ...] = ()
    """A row for each number of clips that stage one is trained on; unset = as `pretrain` says."""
    ssl_weights: tuple[float, ...] = ()
    """A row for each weight of the agreement, 0 = no teacher; unset = the recipe's."""
    teachers: tuple[Literal["stage_one", "random"], ...] = ("stage_one",)
    """A row for each teacher at each weight above 0; random = stage one with the weights it was
    drawn with, the control."""
    distill: Path | None = None
    """YAML of `avkd distill` to train by; its run, seed and resume are set by the matrix."""
    model: Path | None = None
    """Model file that is only tested."""
    data: tuple[Path, ...] | None = None
    """Prepared corpora to train on instead of the recipe's; with `model`, those it was trained on:
    unset = whether it was trained on people of a test is not checked."""
    exclude_methods: tuple[str, ...] = ()
    """Forgery methods never trained or selected on, besides those the recipe excludes."""
    leave_out: tuple[str, ...] = ()
    """Train once more for each of these methods, without it; `all` = each it is trained on. Of
    fakes made online, the blending method it corresponds to is left out."""

    def __post_init__(self) -> None:
        where = f"training {self.name}:"
        given = [n for n in ("finetune", "distill", "model") if getattr(self, n) is not None]
        both = f", not {' and '.join(given)}" if given else ""
        require(len(given) == 1, f"{where} give one of finetune, distill and model{both}")
        require(self.data is None or bool(self.data), f"{where} data is empty; leave it out")
        self._check_axes(where)
        for setting in ("exclude_methods", "leave_out"):
            names = getattr(self, setting)
            require(
                not names or self.model is None, f"{where} {setting} has no effect on a given model"
            )
            require(len(set(names)) == len(names), f"{where} {setting} names a method twice")
        require(
            ALL_METHODS not in self.leave_out or len(self.leave_out) == 1,
            f"{where} leave_out is `all` or a list of methods",
        )
        for method in sorted(set(self.leave_out) & set(self.exclude_methods)):
            raise ValueError(
                f"{where} {method} is in exclude_methods and never trained on; take it out of "
                "leave_out"
            )

    def _check_axes(self, where: str) -> None:
        names = [one.name for one in self.backbones]
        for values in (names, self.clips, self.ssl_weights, self.teachers):
            is_set = len(set(values)) == len(values)
            require(is_set, f"{where} backbones, clips, ssl_weights, teachers: each value once")
        require(bool(self.teachers), f"{where} teachers is empty; leave it out")
        require(
            self.finetune is not None or not (self.pretrain or self.ssl_weights),
            f"{where} pretrain and ssl_weights have no effect without finetune",
        )
        require(
            self.pretrain is not None
            or (not self.backbones and not self.clips and self.teachers == ("stage_one",)),
            f"{where} backbones, clips and teachers have no effect without pretrain",
        )
        require(
            min(self.ssl_weights, default=0) >= 0 and min(self.clips, default=1) >= 1,
            f"{where} want ssl_weights from 0 and clips from 1",
        )

    def rows(self) -> tuple["MatrixTraining", ...]:
        """A training for each point of its axes; at weight 0 one for all teachers."""
        found = {}
        for point in product(
            *(self.backbones or (None,), self.clips or (None,), self.ssl_weights or (None,)),
            self.teachers,
        ):
            backbone, clips, weight, teacher = point
            named = [self.name] if backbone is None else [self.name, backbone.name]
            named += [] if clips is None else [f"{clips} clips"]
            named += [] if weight is None else [f"ssl_weight {weight:g}"]
            named += ["random teacher"] if teacher == "random" and weight != 0 else []
            found[", ".join(named)] = replace(
                self,
                name=", ".join(named),
                backbones=() if backbone is None else (backbone,),
                clips=() if clips is None else (clips,),
                ssl_weights=() if weight is None else (weight,),
                teachers=("stage_one",) if weight == 0 else (teacher,),
            )
        return tuple(found.values())


@dataclass(frozen=True, kw_only=True)
class MatrixTest:
    """One column of the matrix: the test splits of prepared corpora, scored together."""

    name: str
    """Name in the tables and folders."""
    data: tuple[Path, ...]
    """Prepared corpora; only their test splits are used."""
    methods: tuple[str, ...] | None = None
    """Score only these forgery methods (and all real videos); unset = all."""
    protocol: Path | None = None
    """Protocol file (see configs/protocols) of a test split, which then sets the methods; unset =
    the model's own windows, mean logits."""

    def __post_init__(self) -> None:
        where = f"test {self.name}:"
        require(bool(self.data), f"{where} data is empty")
        require(len(set(self.data)) == len(self.data), f"{where} data names a corpus twice")
        require(
            self.methods is None or self.protocol is None,
            f"{where} its protocol sets the methods; leave them out",
        )


@dataclass(frozen=True, kw_only=True)
class MatrixConfig(StudyConfig):
    """Train and test every row of a list on every column of another; one table of all.

    Finished runs and scores are kept and stopped runs resumed: run the same command again.
    """

    trainings: tuple[MatrixTraining, ...]
    """The rows."""
    tests: tuple[MatrixTest, ...]
    """The columns."""
    out: Path
    """Folder for runs, scores, matrix.md, matrix.csv and matrix.png."""
    mixed_preprocessing: bool = False
    """Let corpora with differently made crops stand in one matrix, with a warning."""
    batch_size: int = 8
    """Clips scored at once."""
    device: str | None = None
    """Of every training and test: cpu, cuda, ...; unset = as the recipe says, auto for a model."""
    threads: int | None = None
    """Threads on a CPU; unset = as the recipe says, all cores for a model."""

    def __post_init__(self) -> None:
        _check_names("training", [training.name for training in self.trainings])
        _check_names("test", [test.name for test in self.tests])
        self.check_study()
        at_least(self, 1, "batch_size")


def _check_names(what: str, names: Sequence[str]) -> None:
    require(bool(names), f"{what}s is empty")
    for name in names:
        is_folder = bool(name) and "/" not in name and not name.startswith(".")
        require(is_folder, f"{what} name {name!r}: it names a folder; want it without a slash")
    require(
        len({name.casefold() for name in names}) == len(names),
        f"{what}s: two have the same name; want each once",
    )
