"""The command line: verb -> config class and function. The only file that prints."""

import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from avkd import __version__, durable

if TYPE_CHECKING:
    from avkd.outcome import Outcome


# What a wrong path given by the user raises; any other OSError is ours or the machine's.
_USER_PATH_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


# How threads wait for each other. By default they spin for milliseconds: where another process has
# a core, that takes from a training step most of its time (configs/RESULTS.md).
_THREAD_WAITS = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}


@dataclass(frozen=True)
class Verb:
    """One command: where its settings and its function live in avkd, as ``module:name``."""

    config: str
    function: str
    summary: str
    positional: str | None = None
    in_many_processes: bool = False
    """Knows what to do as one of the processes of torchrun."""


# fmt: off
VERBS: dict[str, Verb] = {
    "synth": Verb("config.data_config:SynthConfig", "synthesis.synthetic:synth",
        "generate a talking-face corpus, so that everything runs without a dataset"),
    "prepare": Verb("config.data_config:PrepareConfig", "data.build:run_prepare",
        "turn videos into aligned face crops and sound, once"),
    "doctor": Verb("config.data_config:DoctorConfig", "doctor.doctor:run_doctor",
        "say what a dataset tree is, and whether training on it is sound", positional="source"),
    "verify": Verb("config.data_config:VerifyConfig", "data.verify:run_verify",
        "check every stored track of prepared corpora against its digest", positional="data"),
    "forge": Verb("config.data_config:ForgeConfig", "synthesis.forgery:forge",
        "make labelled forgeries from real clips"),
    "pretrain": Verb("config.training_config:PretrainConfig", "stages.pretrain:pretrain",
        "stage one: self-supervised, on real talking faces with sound", in_many_processes=True),
    "probe": Verb("config.evaluation_config:ProbeConfig", "evaluation.probe:probe",
        "measure what stage one has learned on held-out clips, beside a linear baseline"),
    "finetune": Verb("config.training_config:FinetuneConfig", "stages.finetune:finetune",
        "stage two: train a video detector, with the auxiliary task weighted by --ssl_weight",
        in_many_processes=True),
    "distill": Verb("config.image_config:DistillConfig", "stages.distill:distill",
        "train an image detector from labels, or from labels and a teacher",
        in_many_processes=True),
    "evaluate": Verb("config.evaluation_config:EvaluateConfig", "evaluation.evaluate:evaluate",
        "score corpora and write the cross-dataset table"),
    "report": Verb("config.evaluation_config:ReportConfig", "reporting.recompute:recompute",
        "make the tables again from score files, and compare models file by file"),
    "calibrate": Verb(
        "config.evaluation_config:CalibrateConfig", "evaluation.recalibrate:recalibrate",
        "fit a detector's probabilities and threshold to your own validation files"),
    "export": Verb("config.evaluation_config:ExportConfig", "evaluation.export:export",
        "write a detector as an ONNX file, in fp32 or int8"),
    "robustness": Verb("config.study_config:RobustnessConfig", "studies.robustness:robustness",
        "score models on files perturbed at increasing severity; table and curves"),
    "compare": Verb("config.study_config:CompareConfig", "studies.compare:compare",
        "train and test a list of image models on a list of sets"),
    "matrix": Verb("config.study_config:MatrixConfig", "studies.matrix:matrix",
        "train a list of detectors and test each on a list of corpora; leave-one-method-out"),
    "bench": Verb("config.study_config:BenchConfig", "studies.throughput:bench",
        "frames per second of image models, each relative to the first"),
    "predict": Verb("config.evaluation_config:PredictConfig", "inference.predict:predict",
        "predict whether videos and pictures are forged", positional="files"),
    "serve": Verb("config.evaluation_config:ServeConfig", "inference.serve:serve",
        "judge files that are sent over HTTP, with a page to use it by hand"),
}
# fmt: on


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code (see `outcome.ExitCode`)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"avkd {__version__}")
        return 0
    verb = VERBS.get(arguments[0])
    if verb is None:
        return _fail(f"avkd: unknown command {arguments[0]!r}{_likely_verb(arguments[0])}", 2)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not verb.in_many_processes:
        able = ", ".join(name for name, verb in VERBS.items() if verb.in_many_processes)
        return _fail(f"avkd {arguments[0]}: works in one process; torchrun is for {able}", 2)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if not _THREAD_WAITS & os.environ.keys():  # read when torch is imported
        os.environ["GOMP_SPINCOUNT"] = "1000"
    try:
        return _run(arguments[0], verb, arguments[1:])
    except KeyboardInterrupt:  # also in the seconds that importing torch takes
        return _fail(f"avkd {arguments[0]}: interrupted", 130)


def _run(name: str, verb: Verb, arguments: list[str]) -> int:
    from avkd.config.load import ConfigError, parse

    try:
        config = parse(name, _find(verb.config), arguments, verb.positional)
    except ConfigError as error:
        return _fail(str(error), 2)
    except SystemExit as stop:  # --help and --print_config end here
        return int(stop.code or 0)
    return _call(name, _find(verb.function), config)


def _call(name: str, function: "Callable[[Any], Outcome]", config: Any) -> int:
    from avkd.config.load import raised_in
    from avkd.outcome import Bug, ExitCode, ModelRefused, ResourceError, Stopped

    try:
        outcome = function(config)
    except ModelRefused as error:
        return _fail(f"avkd {name}: {error}", ExitCode.MODEL_REFUSED)
    except (ValueError, ModuleNotFoundError) as error:
        if not raised_in("avkd.", error):
            raise  # a library complains of what we gave it: our bug, with its traceback
        return _fail(f"avkd {name}: {error}", ExitCode.USER_MISTAKE)
    except (*_USER_PATH_ERRORS, FloatingPointError) as error:  # the last: a training diverged
        return _fail(f"avkd {name}: {error}", ExitCode.USER_MISTAKE)
    except Bug as error:
        return _fail(f"avkd {name}: {error}", ExitCode.BUG)
    except RuntimeError as error:
        # torch's own by its name: asking torch would make every verb wait for its import.
        if not isinstance(error, ResourceError) and type(error).__name__ != "OutOfMemoryError":
            raise
        return _fail(f"avkd {name}: {error}", ExitCode.NO_RESOURCES)
    except Stopped as stop:
        return _fail(f"avkd {name}: {stop}", stop.exit_code)
    except BrokenPipeError:  # as of `avkd ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.READER_GONE)
    except OSError as error:
        if error.errno in durable.NO_ROOM_ERRNOS:
            return _fail(f"avkd {name}: cannot write: {error}", ExitCode.NO_RESOURCES)
        raise
    if outcome.text:
        print(outcome.text)
    return int(outcome.exit_code)


def _find(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(f"avkd.{module}"), name)


def _fail(message: str, exit_code: int) -> int:
    print(message, file=sys.stderr)
    return int(exit_code)


def _help() -> str:
    rows = "\n".join(f"  {name:<10} {verb.summary}" for name, verb in VERBS.items())
    return (
        f"avkd {__version__}: finds face forgeries in video\n\n"
        f"usage: avkd COMMAND [--config FILE.yaml] [--setting VALUE ...]\n\n{rows}\n\n"
        "avkd COMMAND --help lists every setting with its default."
    )


def _likely_verb(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, VERBS, n=1)
    return f": did you mean {close[0]!r}?" if close else f"; commands: {', '.join(VERBS)}"
