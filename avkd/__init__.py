"""avkd: finds face forgeries in video.

>>> import avkd
>>> verdict = avkd.load_model("starter").predict("picture.png", face_detector="none")
>>> verdict.decision in ("real", "fake", "uncertain")
True

The names below are the public interface. Importing the package imports nothing heavy; each name
imports what it needs when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avkd.data.corpus_dataset import CorpusDataset as Corpus
    from avkd.inference.file_predictor import FileFeatures, FilePredictor, features, load_model
    from avkd.inference.verdict import Verdict
    from avkd.models.build import create_model
    from avkd.models.registry import list_models

__version__ = "0.1.0"
__all__ = [
    "Corpus",
    "FileFeatures",
    "FilePredictor",
    "Verdict",
    "create_model",
    "features",
    "list_models",
    "load_model",
]

_HOMES = {
    "Corpus": "avkd.data.corpus_dataset:CorpusDataset",
    "FileFeatures": "avkd.inference.file_predictor:FileFeatures",
    "FilePredictor": "avkd.inference.file_predictor:FilePredictor",
    "Verdict": "avkd.inference.verdict:Verdict",
    "create_model": "avkd.models.build:create_model",
    "features": "avkd.inference.file_predictor:features",
    "list_models": "avkd.models.registry:list_models",
    "load_model": "avkd.inference.file_predictor:load_model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'avkd' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
