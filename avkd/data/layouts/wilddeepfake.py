"""WildDeepfake: face pictures of videos from the internet, one folder for each sequence.

Videos lie in the four parts as folders, or as the archives that are shipped, which are listed and
read without unpacking. Listing an archive reads it from end to end: minutes for the whole dataset.
"""

from collections import Counter
from pathlib import Path

from tqdm import tqdm

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken
from avkd.data.manifest import FAKE, REAL, Manifest, Sample, Split, label_or_none
from avkd.data.media import picture_archive
from avkd.data.media.media_file import MediaError
from avkd.data.splits import split_connected

METHOD = "wild"
# Zi et al., "WildDeepfake", ACM Multimedia 2020.
OFFICIAL = {"sequences": 7_314, "videos": 707}

# Older copies write a blank for the underscore.
_PARTS: dict[str, tuple[int, Split]] = {
    "real_train": (REAL, "train"),
    "real_test": (REAL, "test"),
    "fake_train": (FAKE, "train"),
    "fake_test": (FAKE, "test"),
}
_EXPECTED = "real_train, real_test, fake_train and fake_test"


def find(root: Path, *, val_fraction: float = 0.1, seed: int = 0) -> Manifest:
    """Find the sequences; the test parts are taken as shipped, val is taken from the train parts.

    Who is seen is not known. The sequences of a video stay together and count as one identity,
    ``wilddeepfake/<part>/<video>``: a video's number begins anew in each part. An archive that
    cannot be read stays in the list as one sample, so that `prepare` reports it with its reason.
    Parts may be missing.

    Raises:
        ValueError: not that tree, the same video as a folder and as an archive, a folder inside
            that contradicts its part, a bad fraction, or too few videos.
    """
    inventory.check_root(root, _EXPECTED, _recognises)
    samples: list[Sample] = []
    notes: list[str] = []
    folders: dict[str, str] = {}
    for folder in sorted(entry.name for entry in root.iterdir() if entry.is_dir()):
        part = _part_of(folder)
        if part and (first := folders.setdefault(part, folder)) != folder:
            raise ValueError(f"{root}: {first!r} and {folder!r} are the same part; keep one")
    for part, folder in folders.items():
        found, remarks = _list_part(root, part, folder)
        samples += found
        notes += [f"{folder}: {remark}" for remark in remarks]
    if not samples:
        raise inventory.wrong_root(root, _EXPECTED, _recognises)
    links = [
        [name.partition("/")[2] for name in s.identities] if s.split == "train" else ()
        for s in samples
    ]
    samples = split_connected(samples, links, fractions={"val": val_fraction}, seed=seed)
    num_videos = len({sample.identities for sample in samples})
    return builder.build(
        root,
        samples,
        [
            *builder.compare_counts({"sequences": len(samples), "videos": num_videos}, OFFICIAL),
            f"val taken from the train parts by video with seed {seed}; a video's number stands "
            "for the identity, which is not known",
            *notes,
        ],
    )


def _part_of(name: str) -> str | None:
    part = name.lower().replace(" ", "_").replace("-", "_")
    return part if part in _PARTS else None


def _recognises(folder: Path) -> bool:
    return any(_part_of(entry.name) and entry.is_dir() for entry in folder.iterdir())


def _list_part(root: Path, part: str, folder: str) -> tuple[list[Sample], list[str]]:
    """The sequences of a part, and remarks."""
    listing = inventory.list_files(root, folder, suffixes=PICTURE_SUFFIXES | {".gz"})
    archives, folders, strangers = [], set(), []
    for path in listing.files:
        parent, _, name = path.rpartition("/")
        if name.lower().endswith(picture_archive.SUFFIX) and parent == folder:
            archives.append(path)
        elif parent != folder and inventory.is_picture_name(name):
            folders.add(parent)
        else:
            strangers.append(path)
    samples = [_sample(root, part, path.split("/")[1], path) for path in sorted(folders)]
    unpacked = {path.split("/")[1] for path in folders}
    remarks = []
    passed_over: Counter[str] = Counter()
    for path in tqdm(archives, desc=f"list {folder}", unit="archive", disable=not archives):
        video = path.rpartition("/")[2][: -len(picture_archive.SUFFIX)]
        if video in unpacked:
            raise ValueError(f"{root / path}: lies there unpacked as well; keep one of the two")
        try:
            inside = picture_archive.list_pictures(root / path)
        except MediaError as error:
            remarks.append(f"not readable, kept as one sample that will fail: {error}")
            samples.append(_sample(root, part, video, path))
            continue
        samples += [_sample(root, part, video, f"{path}//{name}") for name in inside.folders]
        passed_over.update(inside.passed_over)
    for reason, number in passed_over.most_common():
        remarks.append(f"passed over in archives: {number} x {reason}")
    remarks += inventory.note_names("left out, in no video", strangers)
    return samples, [*remarks, *listing.notes()]


def _sample(root: Path, part: str, video: str, path: str) -> Sample:
    """A sequence: a folder that itself holds pictures."""
    label, split = _PARTS[part]
    _, _, inside = path.partition("/")
    if {label_or_none(name) for name in inside.split("/")} - {None, label}:
        raise broken(root / path, f"a folder name contradicts the part {part}")
    return builder.make_sample(
        path,
        dataset="wilddeepfake",
        label=label,
        name=f"{part}/{inside.replace('//', '/').rstrip('/')}",
        method=METHOD,
        kind="frames",
        identities=[f"wilddeepfake/{part}/{video}"],
        split=split,
    )
