"""A teacher's answers are used for the questions they were given to, or refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from avkd.teachers.output_cache import OutputCache, TeacherOutputs

DESCRIPTION = {"teacher": "abc", "views": {"flip": 0.5}, "seed": 0}


def outputs(seed: int, count: int = 5) -> TeacherOutputs:
    generator = torch.Generator().manual_seed(seed)
    return TeacherOutputs(torch.randn(count, generator=generator), torch.ones(count))


def opened(folder: Path, **changes) -> OutputCache:
    description = {**DESCRIPTION, **changes}
    return OutputCache(folder, description, num_parts=3, num_outputs=5)


def filled(folder: Path) -> OutputCache:
    cache = opened(folder)
    for part in cache.missing():
        cache.write(part, outputs(part))
    return cache


def test_what_was_written_is_read_by_the_next_run(tmp_path: Path) -> None:
    assert opened(tmp_path).missing() == [0, 1, 2]
    filled(tmp_path)
    again = opened(tmp_path)
    assert again.missing() == []
    for part in range(3):
        for ours, theirs in zip(again.read(part), outputs(part), strict=True):
            assert torch.equal(ours, theirs)


def test_a_stopped_computation_goes_on_where_it_was(tmp_path: Path) -> None:
    opened(tmp_path).write(1, outputs(1))
    assert opened(tmp_path).missing() == [0, 2]
    with pytest.raises(ValueError, match=r"part-0002.* not complete"):
        opened(tmp_path).read(2)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"teacher": "other"}, "teacher"), ({"views": {"flip": 0.0}}, "views"), ({"seed": 1}, "seed")],
)
def test_answers_to_other_questions_are_refused(tmp_path: Path, changes: dict, named: str) -> None:
    filled(tmp_path)
    with pytest.raises(ValueError, match=rf"answers for {named} = .*remove that folder"):
        opened(tmp_path, **changes)


def test_answers_to_more_or_fewer_questions_are_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(ValueError, match="num_outputs"):
        OutputCache(tmp_path, DESCRIPTION, num_parts=3, num_outputs=6)


def test_more_views_of_the_same_questions_go_on(tmp_path: Path) -> None:
    filled(tmp_path)
    assert OutputCache(tmp_path, DESCRIPTION, num_parts=5, num_outputs=5).missing() == [3, 4]


@pytest.mark.parametrize("damage", ["cut", "short", "nan", "half", "nothing"])
def test_damaged_parts_are_refused_by_name(tmp_path: Path, damage: str) -> None:
    filled(tmp_path)
    path = tmp_path / "part-0001.safetensors"
    values = {name: value.clone() for name, value in outputs(1)._asdict().items()}
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    elif damage == "nothing":
        save_file({"other": torch.ones(5)}, path)
    else:
        if damage == "nan":
            values["logit"][2] = float("nan")
        values["weight"] = values["weight"][:4] if damage == "short" else values["weight"]
        values["logit"] = values["logit"].half() if damage == "half" else values["logit"]
        save_file(values, path)
    with pytest.raises(ValueError, match=r"part-0001\.safetensors.*run the same command again"):
        opened(tmp_path).read(1)


def test_a_description_that_is_not_json_is_no_match(tmp_path: Path) -> None:
    filled(tmp_path)
    for text in ("{", json.dumps([1])):
        (tmp_path / "outputs.json").write_text(text)
        with pytest.raises(ValueError, match="remove that folder"):
            opened(tmp_path)


def test_answers_that_are_no_numbers_are_never_stored(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    with pytest.raises(FloatingPointError, match="logit is not finite"):
        cache.write(0, TeacherOutputs(torch.tensor([0.0, 1, 2, 3, float("inf")]), torch.ones(5)))
    assert cache.missing() == [0, 1, 2]
