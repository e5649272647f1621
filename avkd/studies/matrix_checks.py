"""Whether the tests of a matrix are held out from its trainings; asked before any training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.study_config import MatrixTest
from avkd.data.crops.prepared_corpus import CropProvenance
from avkd.data.datasets import Corpus
from avkd.data.manifest import REAL_METHOD, Sample, check_identities
from avkd.evaluation.protocol import protocol_of, wanted_files


@dataclass(frozen=True)
class TestFiles:
    """The files of one test."""

    test: MatrixTest
    samples: tuple[Sample, ...]
    """Prepared or not."""

    @classmethod
    def of(cls, test: MatrixTest, corpora: Mapping[Path, Corpus]) -> "TestFiles":
        """Look at what `avkd evaluate` would refuse only after hours of training.

        Raises:
            FileNotFoundError: there is no such protocol file.
            ValueError: its protocol is none or not of a test split, a corpus has nothing to score,
                two have one name, or a method is not there.
        """
        # The model is not looked at: only what its files are is asked for.
        settings = EvaluateConfig(
            model=Path(), data=test.data, out=Path(), methods=test.methods, protocol=test.protocol
        )
        protocol = protocol_of(settings)
        if protocol.split != "test":
            raise ValueError(
                f"test {test.name}: {test.protocol} scores {protocol.split} splits, where models "
                "are trained or selected; a matrix tests on test splits"
            )
        try:
            wanted = wanted_files(protocol, [corpora[folder] for folder in test.data])
        except ValueError as error:
            raise ValueError(f"test {test.name}: {error}") from error
        files = cls(test, tuple(chain(*wanted)))
        if unknown := sorted(set(test.methods or ()) - files.methods):
            raise ValueError(f"test {test.name}: methods: no {unknown[0]!r} in the test split")
        return files

    @property
    def methods(self) -> set[str]:
        """Forgery methods there are files of."""
        return {sample.method for sample in self.samples} - {REAL_METHOD}


def check(
    tests: Sequence[TestFiles],
    trained_on: Mapping[str, tuple[Path, ...]],
    corpora: Mapping[Path, Corpus],
    *,
    cropped_alike: Iterable[Path],
    mixed_preprocessing: bool,
) -> tuple[str, ...]:
    """Refuse a test that shows people of a training, and corpora that were cropped apart.

    ``trained_on`` has the corpora of each training by its name, none where they are not known;
    ``cropped_alike`` are those that must be: all but those that only stage one sees.

    Returns:
        Sentences on what could not be checked, or was allowed.

    Raises:
        ValueError: names the training, the test, one file of each, and the cure.
    """
    alike = {folder: corpora[folder] for folder in cropped_alike}
    warnings = _check_crops(alike, mixed_preprocessing)
    for training, folders in trained_on.items():
        if not folders:
            warnings.append(
                f"Whether {training} was trained on people of the tests is not checked: its data "
                "are not given."
            )
        for files in tests:
            _check_people(training, [corpora[folder] for folder in folders], files)
    # Each corpus once, however many trainings and tests share it.
    for folder, corpus in corpora.items():
        if unknown := sum(not s.identities for s in corpus.expected if s.split is not None):
            warnings.append(
                f"{folder.name}: {unknown} of its files show people who are not known, so whether "
                "trainings and tests share them could not be checked."
            )
    return tuple(warnings)


def _check_crops(corpora: Mapping[Path, Corpus], mixed_preprocessing: bool) -> list[str]:
    """All corpora must have been cropped alike; perturbations may differ."""
    first, *others = corpora
    wanted = CropProvenance.of([first])
    mixed = []
    for other in others:
        corpora[other].require_faces(corpora[first], first)
        found = CropProvenance.of([other])
        if found.fingerprint != wanted.fingerprint:
            mixed.append(f"{first} ({wanted.text}) and {other} ({found.text}) were cropped apart")
    if mixed and not mixed_preprocessing:
        raise ValueError(f"{mixed[0]}; prepare both alike, or allow it: --mixed_preprocessing true")
    return [f"{sentence}: some of the differences may come from the crops." for sentence in mixed]


def _check_people(training: str, trained_on: Sequence[Corpus], files: TestFiles) -> None:
    held = [s for corpus in trained_on for s in corpus.expected if s.split in ("train", "val")]
    try:
        check_identities(chain(held, files.samples))
    except ValueError as error:
        raise ValueError(
            f"training {training}, test {files.test.name}: {error}; prepare one of them so that "
            "their people are in the same splits, or take one out"
        ) from error
