"""Pictures in archives: right order, no unpacking, nothing a hostile archive says is believed."""

import gzip
import hashlib
import io
import os
import sys
import tarfile
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avkd.data.media import picture_archive
from avkd.data.media.image_files import iter_images, picture_digests
from avkd.data.media.media_file import MediaError

MEGABYTE = 1 << 20


def png(level: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), (level, level, level)).save(content, "PNG")
    return content.getvalue()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


def pack(path: Path, members, format=tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w:gz", format=format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def archive(tmp_path) -> Path:
    """Two sequences, one of them in alphabetical instead of natural order."""
    names = ["12/real/3/1.png", "12/real/3/10.png", "12/real/3/2.png", "12/real/4/0.png"]
    return pack(
        tmp_path / "12.tar.gz",
        [member(name, png(10 * n)) for n, name in enumerate(names, 1)],
    )


def levels(path: Path) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in iter_images(path)]


def passed_over(archive: Path):
    return dict(picture_archive.list_pictures(archive).passed_over)


def test_pictures_come_in_natural_order(archive):
    listed = picture_archive.list_pictures(archive)
    assert listed.folders == {
        "12/real/3": ("1.png", "2.png", "10.png"),
        "12/real/4": ("0.png",),
    }
    assert levels(archive / "12/real/3") == [10, 30, 20]
    assert levels(Path(f"{archive}//12/real/4")) == [40]


def test_archive_is_as_good_as_the_folder_it_was_packed_from(archive, tmp_path):
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    unpacked = tmp_path / "unpacked/12/real/3"
    assert levels(archive / "12/real/3") == levels(unpacked)
    assert picture_digests(archive / "12/real/3") == picture_digests(unpacked)
    assert picture_digests(unpacked)[0] == hashlib.sha256(png(10)).hexdigest()


def test_nothing_is_written(archive, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    levels(archive / "12/real/3")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_is_read_also_with_long_and_dotted_names(tmp_path, format):
    folder = "/".join(["a" * 40] * 3)
    path = pack(tmp_path / "a.TAR.GZ", [member(f"./{folder}/1.png", png(7))], format)
    assert levels(path / folder) == [7]


def test_pictures_at_the_top_belong_to_the_archive_itself(tmp_path):
    path = pack(tmp_path / "a.tar.gz", [member("2.png", png(2)), member("1.png", png(1))])
    assert levels(path) == [1, 2]


def test_folder_that_is_called_like_an_archive_is_a_folder(tmp_path):
    folder = tmp_path / "a.tar.gz" / "inner"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(png(9))
    assert levels(folder) == [9]


@pytest.mark.parametrize("inner", ["12/real/5", "12/real", "..", "12/real/3/1.png"])
def test_folder_without_pictures_in_the_archive_is_told(archive, inner):
    with pytest.raises(MediaError, match="no pictures in its folder") as error:
        levels(archive / inner)
    assert error.value.code == "no_frames"


def test_absent_archive_is_told(tmp_path):
    with pytest.raises(MediaError, match="no such archive") as error:
        levels(tmp_path / "none.tar.gz/1")
    assert error.value.code == "not_found"


def test_names_that_lead_out_links_and_devices_are_passed_over(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(99))
    path = pack(
        tmp_path / "a.tar.gz",
        [
            member("../secret.png", png(1)),
            member("a/../../secret.png", png(1)),
            member(str(secret), png(1)),
            member("a/1.png", kind=tarfile.SYMTYPE, link=str(secret)),
            member("a/2.png", kind=tarfile.LNKTYPE, link="a/4.png"),
            member("a/3.png", kind=tarfile.CHRTYPE),
            member("a/5.png", kind=tarfile.FIFOTYPE),
            member("a/4.png", png(4)),
            member("a/._4.png", b"a shadow"),
            member("__MACOSX/a/4.png", b"a shadow"),
            member("a/readme.txt", b"text"),
            member("a", kind=tarfile.DIRTYPE),
        ],
    )
    assert picture_archive.list_pictures(path).folders == {"a": ("4.png",)}
    assert passed_over(path) == {
        "name that leads out of the archive": 3,
        "link, device or sparse file": 4,
        "hidden": 2,
        "not a picture": 1,
    }
    assert levels(path / "a") == [4]


def test_second_picture_of_the_same_name_is_passed_over(tmp_path):
    path = pack(tmp_path / "a.tar.gz", [member("a/1.png", png(1)), member("a/1.png", png(2))])
    assert levels(path / "a") == [1]
    assert passed_over(path) == {"second picture of the same name": 1}


def test_sparse_file_is_passed_over(tmp_path):
    """It claims any size and holds none of it."""
    info, _ = member("a/1.png")
    info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(MEGABYTE)}
    path = pack(tmp_path / "a.tar.gz", [(info, b""), member("a/2.png", png(2))])
    assert passed_over(path) == {"link, device or sparse file": 1}
    assert picture_archive.list_pictures(path).folders == {"a": ("2.png",)}


def test_huge_picture_is_passed_over_without_being_held(tmp_path):
    huge = picture_archive.MAX_PICTURE_BYTES + 1
    path = pack(tmp_path / "a.tar.gz", [member("a/1.png", bytes(huge)), member("a/2.png", png(2))])
    tracemalloc.start()
    assert levels(path / "a") == [2]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert passed_over(path) == {"picture too large": 1}
    assert peak < 10 * MEGABYTE


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_huge_header_is_refused_without_being_held(tmp_path, kind):
    """A name of any length would be read into memory, even if it packs into a few kilobytes."""
    path = pack(tmp_path / "a.tar.gz", [member("a/1.png", png(1)), member("x", bytes(100), kind)])
    raw = bytearray(gzip.decompress(path.read_bytes()))
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 200 * MEGABYTE
    at = raw.index(b"x\0", 1024)
    raw[at : at + 512] = info.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(bytes(raw[: at + 512]) + bytes(200 * MEGABYTE), 1))
    tracemalloc.start()
    with pytest.raises(MediaError, match="headers larger than"):
        picture_archive.list_pictures(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MEGABYTE


def test_long_names_nested_without_end_are_refused(tmp_path):
    info = tarfile.TarInfo("x")
    info.type = tarfile.GNUTYPE_LONGNAME
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) * 5000))
    with pytest.raises(MediaError, match="headers larger than"):
        picture_archive.list_pictures(path)


@pytest.mark.parametrize("size", [-100, -512, -1024, -5000])
def test_header_that_points_backwards_does_not_run_for_ever(tmp_path, size):
    info = tarfile.TarInfo("a/1.png")
    info.pax_headers = {"size": str(size)}
    path = tmp_path / "a.tar.gz"
    raw = info.tobuf(tarfile.PAX_FORMAT)
    path.write_bytes(gzip.compress(raw + bytes(10240)))
    # Python 3.14's tarfile takes such a header for the end of the archive; ours never sees it.
    lists_nothing = nullcontext() if sys.version_info >= (3, 14) else None
    wanted = r"negative size|points backwards|headers larger"
    with lists_nothing or pytest.raises(MediaError, match=wanted):
        picture_archive.list_pictures(path)


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_archive, "MAX_MEMBERS", 3)
    path = pack(tmp_path / "a.tar.gz", [member(f"{n}.txt") for n in range(4)])
    with pytest.raises(MediaError, match="more than 3 members") as error:
        picture_archive.list_pictures(path)
    assert error.value.code == "too_large"


def test_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_archive, "MAX_UNPACKED_BYTES", 10 * MEGABYTE)
    path = pack(tmp_path / "a.tar.gz", [member("a.txt", bytes(11 * MEGABYTE))])
    with pytest.raises(MediaError, match="unpacks to more than"):
        picture_archive.list_pictures(path)


def test_pictures_far_out_of_order_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_archive, "MAX_WAITING_BYTES", 100)
    names = [f"a/{n}.png" for n in range(9, -1, -1)]
    path = pack(tmp_path / "a.tar.gz", [member(name, png(1)) for name in names])
    with pytest.raises(MediaError, match="too far out of order; unpack"):
        levels(path / "a")


def test_archive_cut_anywhere_is_damaged(archive):
    whole = archive.read_bytes()
    for length in (0, 5, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        archive.write_bytes(whole[:length])
        with pytest.raises(MediaError, match=r"12\.tar\.gz: damaged archive") as error:
            picture_archive.list_pictures(archive)
        assert error.value.code == "not_media"


def test_tar_cut_inside_a_sound_gzip_is_damaged(archive):
    """The library takes a missing end, or a broken header in the middle, for the end."""
    raw = gzip.decompress(archive.read_bytes())
    second = raw.index(b"12/real/3/10.png")
    broken = raw[: second + 20] + b"\xff" * 100 + raw[second + 120 :]
    for content in (raw[:second], raw[: second + 100], raw[: second + 600], broken):
        archive.write_bytes(gzip.compress(content))
        with pytest.raises(MediaError, match="damaged archive"):
            picture_archive.list_pictures(archive)


@pytest.mark.parametrize(
    "content",
    [b"no archive", gzip.compress(b"", mtime=0), gzip.compress(b"x" * 5000, mtime=0)],
    ids=["text", "empty", "not_tar"],
)
def test_what_is_no_archive_is_damaged(tmp_path, content):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="damaged archive"):
        picture_archive.list_pictures(path)


def test_one_flipped_bit_is_found(archive):
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(MediaError, match="damaged archive"):
        picture_archive.list_pictures(archive)


def test_changed_archive_is_listed_anew(archive):
    before = picture_archive.list_pictures(archive)
    pack(archive, [member("b/1.png", png(1))])
    os.utime(archive, ns=(1, 1))
    assert picture_archive.list_pictures(archive) != before


def test_broken_picture_is_named_with_its_archive(tmp_path):
    path = pack(tmp_path / "a.tar.gz", [member("a/1.png", b"no picture")])
    with pytest.raises(MediaError, match=r"a\.tar\.gz/a/1\.png: not a picture"):
        levels(path / "a")


def test_only_as_much_is_held_as_lies_out_of_order(tmp_path):
    content = np.random.default_rng(0).bytes(MEGABYTE)
    path = pack(tmp_path / "a.tar.gz", [member(f"a/{n}.png", content) for n in range(40)])
    tracemalloc.start()
    assert sum(len(picture) for _, picture in picture_archive.iter_pictures(path, "a")) == (
        40 * MEGABYTE
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MEGABYTE
