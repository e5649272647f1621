"""Perturbations: each against a slow reference, worse with severity, and all the way to the crops.

The references are written out from DeeperForensics' definitions pixel by pixel, in double precision
and with its detours (video range, double division); where a value lies so close to a whole number
that the precision decides, nothing is compared.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from avkd import cli, durable
from avkd.config.data_config import PrepareConfig
from avkd.data.crops.crop_store import CropStore
from avkd.data.crops.crop_writer import CropWriter
from avkd.data.faces import face_tracks
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.faces.face_tracks import Faces
from avkd.data.faces.track_extraction import plan_tracks
from avkd.data.manifest import Manifest, Sample
from avkd.data.media.frame import Frame
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile
from avkd.data.media.writing import write_video
from avkd.data.perturbations import picture_perturbations
from avkd.data.perturbations.perturbations import KINDS, Perturbation
from avkd.data.perturbations.perturbed_file import perturbing
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareJob, PrepareSettings, prepare_file

SEVERITIES = (1, 2, 3, 4, 5)
PICTURE = Sample(
    sample_id="d/real/a",
    path="a.png",
    kind="image",
    label=0,
    dataset="d",
    method="real",
    split="test",
)
SMALL = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
CUT = 0.0
"""What is added before pixels are cut to whole numbers: nothing, or a half to round them."""
ROUNDED = 0.5


def landscape(height: int = 262, width: int = 302) -> np.ndarray:
    """A picture like others: smooth colours, an edge, fine texture."""
    y, x = np.mgrid[:height, :width] / 15
    base = np.stack([np.sin(x) + np.cos(y), np.sin(x + y), np.cos(x - 0.5 * y)], axis=2)
    texture = np.random.default_rng(1).normal(0, 3, (height, width, 1))
    picture = 128 + 40 * base + texture + 30 * (x > 8)[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def distorted(
    name: str, severity: int, image: np.ndarray, rng: np.random.Generator | None = None
) -> np.ndarray:
    kind = KINDS[name]
    assert kind.change is not None
    return kind.change(image, kind.amounts[severity - 1], rng or np.random.default_rng(0))


def to_ycbcr(rgb: np.ndarray) -> list[float]:
    """Of one pixel, on the video range over 255, as the published code has it."""
    red, green, blue = (float(value) for value in rgb)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cb, cr = (blue - luma) * 0.564 + 0.5, (red - luma) * 0.713 + 0.5
    return [(luma * 219 + 16) / 255, (cb * 224 + 16) / 255, (cr * 224 + 16) / 255]


def to_rgb(ycbcr: list[float]) -> list[float]:
    luma = (ycbcr[0] * 255 - 16) / 219
    cb, cr = ((value * 255 - 16) / 224 - 0.5 for value in ycbcr[1:])
    rgb = [luma + 1.403 * cr, luma - 0.344 * cb - 0.714 * cr, luma + 1.773 * cb]
    return [min(max(value, 0.0), 255.0) for value in rgb]


def pixel_by_pixel(image: np.ndarray, exact: Callable[[int, int], list[float]]) -> np.ndarray:
    height, width = image.shape[:2]
    return np.array([[exact(row, column) for column in range(width)] for row in range(height)])


def assert_whole_numbers_of(exact: np.ndarray, found: np.ndarray, added: float) -> None:
    assert found.dtype == np.uint8 and found.shape == exact.shape
    clear = np.abs(exact + added - np.round(exact + added)) > 1e-3
    assert clear.mean() > 0.6
    np.testing.assert_array_equal(found[clear], np.floor(exact + added)[clear])
    assert np.abs(found - exact).max() <= 1.001


@pytest.mark.parametrize(("severity", "share"), [(1, 0.4), (4, 0.1), (5, 0.0)])
def test_saturation_shrinks_chroma_about_its_middle(severity: int, share: float) -> None:
    def exact(row: int, column: int) -> list[float]:
        luma, cb, cr = to_ycbcr(SMALL[row, column])
        return to_rgb([luma, 0.5 + (cb - 0.5) * share, 0.5 + (cr - 0.5) * share])

    assert_whole_numbers_of(
        pixel_by_pixel(SMALL, exact), distorted("saturation", severity, SMALL), CUT
    )


def test_grey_is_cut_to_the_published_odd_tint() -> None:
    """Rounding instead, or a true middle, would give 100, 100, 100."""
    grey = np.full((2, 2, 3), 100, np.uint8)
    assert distorted("saturation", 5, grey)[0, 0].tolist() == [99, 100, 99]


@pytest.mark.parametrize(("severity", "factor"), [(1, 0.85), (2, 0.725), (5, 0.35)])
def test_contrast_multiplies_and_cuts(severity: int, factor: float) -> None:
    exact = pixel_by_pixel(SMALL, lambda row, column: [factor * int(v) for v in SMALL[row, column]])
    assert_whole_numbers_of(exact, distorted("contrast", severity, SMALL), CUT)


@pytest.mark.parametrize(("severity", "variance"), [(1, 0.001), (3, 0.005), (5, 0.05)])
def test_noise_is_added_in_ycbcr_after_the_double_division(severity: int, variance: float) -> None:
    normal = np.random.default_rng(7).standard_normal(SMALL.shape, dtype=np.float32)

    def exact(row: int, column: int) -> list[float]:
        divided = [value / 255 for value in to_ycbcr(SMALL[row, column])]
        noisy = [
            v + math.sqrt(variance) * n for v, n in zip(divided, normal[row, column], strict=True)
        ]
        return to_rgb([value * 255 for value in noisy])

    found = distorted("noise", severity, SMALL, np.random.default_rng(7))
    assert_whole_numbers_of(pixel_by_pixel(SMALL, exact), found, CUT)


def test_noise_has_the_deviation_of_the_protocol() -> None:
    """About 297 grey levels times the square root of the variance, in luma."""
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = distorted("noise", 1, grey).astype(float)
    luma = noisy @ [0.299, 0.587, 0.114]
    assert luma.std() == pytest.approx(297 * math.sqrt(0.001), rel=0.02)


@pytest.mark.parametrize(
    ("size", "whole"), [((255, 800), 0), ((256, 300), 1), ((511, 600), 1), ((640, 512), 2)]
)
def test_blocks_are_counted_by_the_short_side_and_none_below_256(
    size: tuple[int, int], whole: int
) -> None:
    image = np.zeros((*size, 3), np.uint8)
    for severity, number in zip(SEVERITIES, (16, 32, 48, 64, 80), strict=True):
        rng = np.random.default_rng(severity)
        expected = image.copy()
        for _ in range(number * whole):
            left, top = rng.integers(0, size[1] - 8), rng.integers(0, size[0] - 8)
            for row in range(top, top + 8):
                for column in range(left, left + 8):
                    expected[row, column] = [128, 128, 128]
        found = distorted("blocks", severity, image, np.random.default_rng(severity))
        np.testing.assert_array_equal(found, expected)
        touched = (found[..., 0] == 128).sum()
        assert 0.8 * 64 * number * whole <= touched <= 64 * number * whole
    assert not image.any()


def test_jpeg_keeps_colour_at_half_resolution() -> None:
    """Columns of two colours of one brightness run into one another."""
    columns = np.full((16, 16, 3), (200, 100, 100), np.uint8)
    columns[:, 1::2] = (100, 151, 100)
    red = picture_perturbations.jpeg(columns, 90, np.random.default_rng(0))[..., 0].astype(float)
    assert np.abs(np.diff(red, axis=1)).max() < 20


@pytest.mark.parametrize(("severity", "size"), [(1, 7), (3, 13), (5, 21)])
def test_blur_is_a_gaussian_of_a_sixth_of_its_size_mirrored_at_the_edges(
    severity: int, size: int
) -> None:
    """The picture is smaller than the largest kernel, which mirrors it more than once."""
    radius, sigma = size // 2, size / 6
    weights = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-radius, radius + 1)]
    total = sum(weights)

    def mirrored(place: int, length: int) -> int:
        place %= 2 * (length - 1)
        return min(place, 2 * (length - 1) - place)

    def exact(row: int, column: int) -> list[float]:
        summed = np.zeros(3)
        for down, row_weight in enumerate(weights):
            for right, column_weight in enumerate(weights):
                y = mirrored(row + down - radius, SMALL.shape[0])
                x = mirrored(column + right - radius, SMALL.shape[1])
                summed += row_weight * column_weight * SMALL[y, x].astype(float)
        return list(summed / total**2)

    found = distorted("blur", severity, SMALL)
    assert_whole_numbers_of(pixel_by_pixel(SMALL, exact), found, ROUNDED)


def resampled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear by hand: pixel centres at halves, no averaging."""

    def exact(row: int, column: int) -> list[float]:
        y = min(max((row + 0.5) * image.shape[0] / height - 0.5, 0.0), image.shape[0] - 1.0)
        x = min(max((column + 0.5) * image.shape[1] / width - 0.5, 0.0), image.shape[1] - 1.0)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
        down, across = y - top, x - left
        upper = image[top, left] * (1 - across) + image[top, right] * across
        lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
        return list(upper * (1 - down) + lower * down)

    return pixel_by_pixel(np.empty((height, width)), exact)


@pytest.mark.parametrize("size", [(12, 18), (13, 17)])
@pytest.mark.parametrize(("severity", "factor"), [(1, 2), (2, 3), (3, 4), (5, 6)])
def test_pixelation_shrinks_without_averaging_and_enlarges(
    size: tuple[int, int], severity: int, factor: int
) -> None:
    image = np.resize(SMALL, (*size, 3))
    small = np.floor(resampled(image, size[0] // factor, size[1] // factor) + 0.5 + 1e-9)
    found = distorted("pixelation", severity, image)
    assert_whole_numbers_of(resampled(small, *size), found, ROUNDED)


def test_resize_averages_before_it_enlarges() -> None:
    means = np.floor(SMALL.astype(float).reshape(6, 2, 9, 2, 3).mean(axis=(1, 3)) + 0.5)
    found = distorted("resize", 2, SMALL)
    # Pillow rounds after each axis.
    assert np.abs(found - resampled(means, 12, 18)).max() <= 2


def test_the_bar_covers_the_lowest_share_only() -> None:
    image = np.full((100, 40, 3), 200, np.uint8)
    found = distorted("bar", 4, image)
    assert (found[:80] == 200).all() and not found[80:].any()


def psnr(image: np.ndarray, other: np.ndarray) -> float:
    assert other.shape == image.shape and other.dtype == np.uint8
    return 10 * math.log10(255**2 / np.square(image.astype(float) - other).mean())


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.change])
def test_each_severity_is_worse_than_the_one_before(name: str) -> None:
    image = landscape()
    kept = image.copy()
    quality = [psnr(image, distorted(name, severity, image)) for severity in SEVERITIES]
    assert all(left > right + 0.2 for left, right in pairwise(quality)), quality
    np.testing.assert_array_equal(image, kept)


def test_a_frame_is_perturbed_alike_every_time_and_unlike_any_other() -> None:
    image = landscape(260, 260)
    noise = Perturbation(name="noise", severity=3)
    first = noise.picture(image, "set/real/a", 4)
    np.random.seed(0)
    np.testing.assert_array_equal(first, noise.picture(image, "set/real/a", 4))
    others = [
        noise.picture(image, "set/real/a", 5),
        noise.picture(image, "set/real/b", 4),
        Perturbation(name="noise", severity=3, seed=1).picture(image, "set/real/a", 4),
    ]
    assert all((first != other).mean() > 0.8 for other in others)
    assert noise.picture(image, "bad\udcff", 0).shape == image.shape


def test_unknown_names_and_severities_are_refused_where_they_are_given() -> None:
    (literal, _) = get_args(get_type_hints(PrepareConfig)["perturbation"])
    assert set(get_args(literal)) == {*KINDS}

    def config(**more: Any) -> PrepareConfig:
        return PrepareConfig(source=Path("s"), layout="real_fake", out=Path("o"), **more)

    for half in ({"perturbation": "blur"}, {"severity": 2}):
        with pytest.raises(ValueError, match="give both or none"):
            config(**half)
    with pytest.raises(ValueError, match=r"severity must be in 1\.\.5"):
        config(perturbation="blur", severity=0)
    useless: tuple[dict[str, Any], ...] = (
        {},
        {"perturbation": "blur", "severity": 1, "detector": "none"},
    )
    for more in useless:
        with pytest.raises(ValueError, match="faces has no effect"):
            config(faces="clean", **more)


def frames_of(pictures: list[np.ndarray]) -> list[Frame]:
    """Pictures as every second frame of a file."""
    return [Frame.of_image(2 * n, 2 * n / 25, picture) for n, picture in enumerate(pictures)]


def compressed(severity: int, frames: list[Frame], scratch: Path) -> list[Frame]:
    with perturbing(
        Perturbation(name="compression", severity=severity),
        lambda: iter(frames),
        sample_id="a",
        scratch=scratch,
    ) as open_frames:
        (encoded,) = scratch.parent.rglob("*.mp4")
        assert encoded.stat().st_size > 0
        once, twice = list(open_frames()), list(open_frames())
    assert not list(scratch.parent.iterdir())
    assert all((a.image == b.image).all() for a, b in zip(once, twice, strict=True))
    return once


def test_compression_keeps_frames_times_and_odd_sizes_and_worsens(tmp_path: Path) -> None:
    clip = [np.roll(landscape(81, 95), 3 * n, axis=1) for n in range(7)]
    frames = frames_of(clip)
    quality = []
    for severity in SEVERITIES:
        read = compressed(severity, frames, tmp_path / "x.mp4")
        assert [f.source_index for f in read] == [0, 2, 4, 6, 8, 10, 12]
        assert [f.time_seconds for f in read] == [f.time_seconds for f in frames]
        quality.append(np.mean([psnr(a, b.image) for a, b in zip(clip, read, strict=True)]))
    assert quality[-1] > 20 and quality[0] < 40
    assert all(left > right for left, right in pairwise(quality)), quality


def test_a_file_that_cannot_be_read_stays_that_file_s_fault(tmp_path: Path) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames_of([landscape(32, 32)])
        raise MediaError("no_frames", Path("a.mp4"), "cut off")

    with (
        pytest.raises(MediaError, match="cut off"),
        perturbing(
            Perturbation(name="compression", severity=1),
            broken,
            sample_id="a",
            scratch=tmp_path / "x.mp4",
        ),
    ):
        pytest.fail("nothing to read back")
    assert not list(tmp_path.iterdir())


def test_faces_are_searched_on_altered_frames_and_only_where_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the first search of a file and its pixels see what was made of the frame."""
    write_video(tmp_path / "a.mp4", [np.full((64, 64, 3), 200, np.uint8)] * 12)
    seen: list[float] = []
    made = Counter[int]()

    def find(image: np.ndarray) -> Faces:
        seen.append(float(image.mean()))
        face = np.array([[8.0, 8, 56, 56]])
        points = np.array([[[20.0, 24], [44, 24], [32, 34], [24, 44], [40, 44]]])
        return Faces(face, np.ones(1), points)

    monkeypatch.setattr(face_tracks, "DETECTORS", {"only here": lambda min_face_fraction: find})

    contrast = Perturbation(name="contrast", severity=5)
    source = SourceFile(tmp_path / "a.mp4", "video")
    with perturbing(contrast, source.frames, sample_id="a", scratch=tmp_path / "x") as open_frames:

        def counted() -> Iterator[Frame]:
            for frame in open_frames():
                yield frame
                made[frame.source_index] += "image" in vars(frame)

        plan_tracks(source, detector="only here", open_frames=counted)
    assert len(seen) == 4 and all(abs(level - 0.35 * 200) < 2 for level in seen)
    assert [index for index, count in sorted(made.items()) if count] == [0, 5, 10]


@pytest.mark.parametrize(("faces", "level"), [("perturbed", 70), ("clean", 200)])
def test_faces_may_be_those_of_the_clean_file_but_crops_never_are(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faces: Literal["perturbed", "clean"],
    level: int,
) -> None:
    """Also in the second, thorough search of a single picture, the one that finds it here."""
    Image.new("RGB", (200, 200), (200, 200, 200)).save(tmp_path / "a.png")
    seen: list[float] = []

    def finder(min_face_fraction: float) -> Callable[[np.ndarray], Faces]:
        def find(image: np.ndarray) -> Faces:
            seen.append(float(image.mean()))
            found = int(min_face_fraction < 0.1)
            points = TEMPLATE[None].repeat(found, axis=0)
            return Faces(
                np.tile([20.0, 20, 140, 140], (found, 1)),
                np.ones(found),
                points,
            )

        return find

    name = f"finder on {faces} frames"  # detectors are kept by name
    monkeypatch.setattr(face_tracks, "DETECTORS", {name: finder})
    settings = PrepareSettings(
        detector=name,
        min_frames=1,
        max_seconds=None,
        perturbation=Perturbation(name="contrast", severity=5, faces=faces),
    )
    job = PrepareJob(
        sample=PICTURE,
        source=tmp_path / "a.png",
        work=tmp_path / "work",
        settings=settings,
    )
    done = prepare_file(job)
    assert done.row["status"] == "ok" and np.round(seen).tolist() == [level] * 2
    (track,) = done.tracks
    CropWriter(tmp_path / "out").append([track])
    assert abs(CropStore(tmp_path / "out").frames(track.row.path, 0, 1).mean() - 70) < 2


def tree_of_pictures(root: Path) -> Path:
    for label, level in (("real", 200), ("fake", 100)):
        (root / "test" / label).mkdir(parents=True)
        for number in range(2):
            picture = Image.new("RGB", (64, 64), (level, level, number))
            picture.save(root / "test" / label / f"{label}{number}.png")
    return root


def prepared(layout: str, source: Path, out: Path, *more: object) -> Manifest:
    code = avkd_prepare(layout, source, out, *more)
    assert code == 0
    return Manifest.load(out / "manifest.jsonl")


def avkd_prepare(layout: str, source: Path, out: Path, *more: object) -> int:
    fixed = ("--layout", layout, "--source", source, "--out", out, "--detector", "none")
    arguments = ("prepare", *fixed, "--workers", 1, "--crop_pixels", 64, *more)
    return cli.main([str(argument) for argument in arguments])


def test_perturbed_pictures_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tree_of_pictures(tmp_path / "tree"), tmp_path / "dark"
    perturbed = ("--perturbation", "contrast", "--severity", 5, "--dataset", "dark")
    manifest = prepared("real_fake_images", source, out, *perturbed)
    store = CropStore(out)
    for made in manifest.samples:
        crop = store.frames(made.path, 0, 1)[0]
        assert abs(crop[..., 0].mean() - 0.35 * (100 if made.label else 200)) < 2
        assert made.dataset == "dark"
    told = "perturbed: contrast at severity 5"
    assert told in manifest.notes and told in Manifest.load(out / "inputs.jsonl").notes
    settings = json.loads((out / "prepare.json").read_text())["settings"]
    assert settings["perturbation"]["name"] == "contrast"

    for other in (("--perturbation", "contrast", "--severity", 4), ()):
        capsys.readouterr()
        assert avkd_prepare("real_fake_images", source, out, *other, "--dataset", "dark") != 0
        assert "prepared with other settings (perturbation was" in capsys.readouterr().err


def test_a_compressed_video_through_the_command_line(tmp_path: Path) -> None:
    """Frame rate not ours: the frames chosen, their times and the sound are those of the file."""
    for label in ("real", "fake"):
        frames = (np.roll(landscape(64, 64), 2 * n, axis=0) for n in range(36))
        waveform = np.sin(np.arange(19_200) / 5).astype(np.float32) / 2
        path = tmp_path / "tree" / "test" / label / f"{label}.mp4"
        write_video(path, frames, frames_per_second=30, waveform=waveform)
    out = tmp_path / "poor"
    poor = ("--perturbation", "compression", "--severity", 5, "--crop_pixels", 150)
    found = prepared("real_fake", tmp_path / "tree", out, *poor)
    prepared("real_fake", tmp_path / "tree", tmp_path / "clean", "--crop_pixels", 150)
    store, clean = CropStore(out), CropStore(tmp_path / "clean")
    for made in found.samples:
        assert made.num_frames == 30 and made.has_audio
        crops = [one.frames(made.path, 0, 30) for one in (clean, store)]
        assert 18 < psnr(*crops) < 33
        for name in ("source_frame_indices", "source_times_seconds"):
            values = [one.geometry(made.path, name) for one in (clean, store)]
            np.testing.assert_array_equal(*values)
        sounds = [one.waveform(made.path, 0, 30 * 640) for one in (clean, store)]
        assert sounds[0] is not None
        np.testing.assert_array_equal(*sounds)
    assert not [path for path in out.iterdir() if "work" in path.name]


def test_clean_corpora_keep_the_digest_they_had_before_perturbations(tmp_path: Path) -> None:
    """A folder begun by an older version, whose settings lack the word, goes on."""
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    settings = {
        "detector": "none",
        "detect_every_frames": 5,
        "min_frames": 25,
        "max_seconds": 120.0,
        "crop_size": 150,
        "jpeg_quality": 95,
        "version": 2,
    }
    out = tmp_path / "out"
    out.mkdir()
    (out / "prepare.json").write_text(json.dumps({"settings": settings}))
    prepare(Manifest(tmp_path, (PICTURE,)), out, PrepareSettings(detector="none"), workers=1)
    written = json.loads((out / "prepare.json").read_text())
    assert written["fingerprint"] == durable.fingerprint(settings) == "ba7158570831575f"
