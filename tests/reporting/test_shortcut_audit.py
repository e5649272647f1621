"""The shortcut audit: a planted shortcut is found, a clean set stays quiet, pairs take it away."""

import dataclasses

import numpy as np
import pytest
from factories import Plant, codec, made_up, nothing, perfect_codec, silence

from avkd.reporting import shortcut_audit
from avkd.reporting.shortcut_audit import RowAudit, audit


def audited(plant: Plant, **options: object) -> RowAudit:
    (row,) = audit(*made_up(plant, **options), resamples=200, seed=0)  # type: ignore[arg-type]
    assert not row.reason
    return row


def value(metric: object) -> float:
    assert metric.value is not None, metric  # type: ignore[attr-defined]
    return metric.value  # type: ignore[attr-defined]


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_a_clean_set_stays_quiet(seed: int, grouped: bool) -> None:
    row = audited(nothing, seed=seed, grouped=grouped)
    assert row.found == () and row.matched is None
    assert len(row.probes) > 15


@pytest.mark.slow
@pytest.mark.parametrize("num_files", [60, 200, 1000])
def test_false_alarms_are_rare_in_clean_sets(num_files: int) -> None:
    """Over the level of one row in a hundred by no more than chance (200 sets: up to 8)."""
    alarms = sum(bool(audited(nothing, seed=n, num_files=num_files).found) for n in range(200))
    assert alarms <= 8, f"{alarms} of 200 clean sets of {num_files} files"


def test_a_leading_silence_of_fakes_is_found_with_its_size() -> None:
    row = audited(silence)
    probes = {probe.name: probe for probe in row.found}
    found = probes["leading_silence_seconds"]
    assert value(found.auc) > 0.75 and found.auc.interval is not None
    assert found.auc.interval.low is not None and found.auc.interval.low > 0.6
    assert float(found.usual_fake) > float(found.usual_real) + 0.08
    assert set(probes) <= {found.name, "all of the sound", "all facts together"}
    assert row.matched is not None and row.matched.on == ("leading_silence_seconds",)


@pytest.mark.parametrize("plant", [codec, perfect_codec])
def test_another_codec_of_fakes_is_found_with_its_name(plant: Plant) -> None:
    probes = {probe.name: probe for probe in audited(plant).found}
    assert {"codec", "all of the encoding", "all facts together"} <= set(probes)
    assert probes["codec"].usual_real.startswith("h264 ")
    assert probes["codec"].usual_fake.startswith("vp9 ")


def test_a_small_set_shows_a_strong_shortcut() -> None:
    names = {probe.name for probe in audited(perfect_codec, num_files=60).found}
    assert "codec" in names


def test_what_is_guilty_in_company_only_is_found_and_matched_with_its_company() -> None:
    """Bytes and length alone say nothing; together they are the rate of the encoder."""

    def rate(fields: dict, label: int, random: np.random.Generator) -> None:
        per_second = np.exp(random.normal(12 + 0.8 * label, 0.3))
        fields["duration_seconds"] = float(np.exp(random.normal(1 - 0.4 * label, 2)))
        fields["file_bytes"] = float(per_second * fields["duration_seconds"])
        del fields["bit_rate"]

    row = audited(rate, num_files=400)
    assert [probe.name for probe in row.found] == ["all facts together"]
    assert row.matched is not None
    assert {"file_bytes", "duration_seconds"} <= set(row.matched.on)


def test_on_matched_pairs_a_reader_of_silence_falls_and_an_honest_detector_does_not() -> None:
    videos, facts = made_up(silence, num_files=600)
    (honest,) = audit(videos, facts, resamples=200, seed=0)
    heard = [row.facts["leading_silence_seconds"] for row in facts]
    reader = videos.assign(logit=heard)
    (fooled,) = audit(reader, facts, resamples=200, seed=0)
    assert honest.matched is not None and fooled.matched is not None
    assert honest.matched.num_pairs == fooled.matched.num_pairs > 80
    assert value(fooled.detector_auc) > 0.8
    assert abs(value(fooled.matched.detector_auc) - 0.5) < 0.06
    assert abs(value(honest.matched.detector_auc) - value(honest.detector_auc)) < 0.06
    assert value(honest.matched.probe_auc) < 0.56 and not honest.matched.still_differ
    interval = honest.matched.detector_auc.interval
    assert interval.low is not None
    assert interval.low < value(honest.matched.detector_auc)
    assert min(map(value, fooled.follows)) > 0.8
    assert max(abs(value(metric)) for metric in honest.follows) < 0.2


def test_where_no_real_looks_like_a_fake_there_is_a_sentence_instead_of_a_number() -> None:
    row = audited(perfect_codec)
    assert row.matched is not None and row.matched.num_pairs == 0
    assert row.matched.detector_auc.value is None
    assert "0 pairs of a real and a fake file agree" in row.matched.detector_auc.reason


def test_a_fact_is_tried_where_it_is_known_and_the_absence_of_sound_is_its_own_fact() -> None:
    def deaf(fields: dict, label: int, random: np.random.Generator) -> None:
        if random.random() < (0.8 if label else 0.2):
            fields["has_sound"] = False
            del fields["leading_silence_seconds"], fields["sound_level_db"]

    found = {probe.name for probe in audited(deaf).found}
    assert "has_sound" in found
    assert not found & {"leading_silence_seconds", "sound_level_db"}


def test_the_audit_is_the_same_every_time() -> None:
    videos, facts = made_up(silence)
    one = audit(videos, facts, resamples=100, seed=4)
    assert one == audit(videos, facts[::-1], resamples=100, seed=4)


def test_too_few_files_and_unknown_files_are_a_reason_and_a_count() -> None:
    videos, facts = made_up(nothing, num_files=40)
    (row,) = audit(videos, facts[:18], resamples=100, seed=0)
    assert "9 real and 9 fake files" in row.reason and not row.probes
    assert (row.num_real, row.num_fake, row.num_without_facts) == (9, 9, 22)
    (row,) = audit(videos, [], resamples=100, seed=0)
    assert row.reason == "nothing is known of its files but their scores"
    alone = [dataclasses.replace(fact, group="one") for fact in facts]
    (row,) = audit(videos, alone, resamples=100, seed=0)
    assert "all belong together" in row.reason


def test_scores_and_facts_of_other_files_are_refused() -> None:
    videos, facts = made_up(nothing, num_files=40)
    facts[3] = dataclasses.replace(facts[3], label=0, method="real")
    with pytest.raises(ValueError, match=r"d/3 of d: label is 1 in its scores and 0 in its facts"):
        audit(videos, facts, resamples=100, seed=0)


def test_of_too_many_files_a_part_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcut_audit, "MOST_FILES", 60)
    row = audited(perfect_codec, num_files=200)
    assert (row.num_real, row.num_fake, row.num_left_out) == (60, 60, 80)
    assert row.found
