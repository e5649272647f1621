"""Media files, kind and hostile: time, colour, turning, sound alignment, and refusals."""

import gc
import http.server
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from factories import read_waveform
from PIL import Image

from avkd.data.media import media_file, source_file, video
from avkd.data.media.container import packets_of
from avkd.data.media.frame import Frame
from avkd.data.media.media_file import MediaError
from avkd.data.media.sound import read_sound_file
from avkd.data.media.source_file import SourceFile
from avkd.data.media.video import iter_frames
from avkd.data.media.writing import write_video

SIZE = (48, 64)  # rows, columns


def grey(level: int) -> np.ndarray:
    return np.full((*SIZE, 3), level, np.uint8)


def write_timed(path: Path, times_ms: list[int], levels: list[int], *, container: str) -> None:
    """A video whose frames stand at the given milliseconds."""
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "1", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for milliseconds, level in zip(times_ms, levels, strict=True):
            frame = av.VideoFrame.from_ndarray(grey(level), format="rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def first_frame(path: Path) -> Frame:
    return next(iter_frames(path))


def levels_of(path: Path, **arguments: object) -> np.ndarray:
    return np.array([f.image.mean() for f in iter_frames(path, **arguments)])


@pytest.fixture(scope="module")
def plain_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "plain.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (50, *SIZE, 3), dtype=np.uint8)
    write_video(path, list(noise))
    return path


def test_flash_and_beep_stay_together_within_a_millisecond(tmp_path: Path) -> None:
    """A shift between sound and picture would be learnt as a sign of forgery, or hide one."""
    path = tmp_path / "flash.mp4"
    waveform = np.zeros(32_000, np.float32)
    beep = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(320) / 16_000)
    waveform[20 * 640 : 20 * 640 + 320] = beep
    write_video(path, (grey(255 if i == 20 else 0) for i in range(50)), waveform=waveform)
    assert np.flatnonzero(levels_of(path) > 128).tolist() == [20]
    heard = read_waveform(path, num_samples=32_000)
    assert heard is not None and heard.shape == (32_000,) and heard.dtype == np.float32
    lag = int(np.correlate(heard, waveform, "full").argmax()) - (len(waveform) - 1)
    assert abs(lag) <= 16


@pytest.mark.parametrize("late_ms", [-500, 0, 700])
def test_sound_is_placed_by_timestamps_not_by_its_first_sample(
    tmp_path: Path, late_ms: int
) -> None:
    """The picture starts at 1.0 s on the file's clock, the sound earlier, with it, or later."""
    path = tmp_path / "late.mkv"
    rate, start = 48_000, 1.0 + late_ms / 1000
    samples = np.zeros((1, rate * 2), np.float32)
    click = round((1.5 - start) * rate) if late_ms <= 0 else round((2.2 - start) * rate)
    samples[0, click : click + 48] = 0.9
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        audio = output.add_stream("pcm_f32le", rate=rate, layout="mono")
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(grey(0), format="rgb24")
            frame.pts, frame.time_base = 25 + number, Fraction(1, 25)
            output.mux(video.encode(frame))
        for first in range(0, samples.shape[1], 4800):
            sound = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, first : first + 4800]), "flt", layout="mono"
            )
            sound.sample_rate, sound.time_base = rate, Fraction(1, rate)
            sound.pts = round(start * rate) + first
            output.mux(audio.encode(sound))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    heard = read_waveform(path)
    assert heard is not None
    expected = round((0.5 if late_ms <= 0 else 1.2) * 16_000)
    assert abs(int(np.abs(heard).argmax()) - expected - 8) <= 16
    if late_ms > 0:
        assert np.abs(heard[: 16 * late_ms - 200]).max() < 1e-6


def test_fifty_frames_a_second_become_every_second_frame(tmp_path: Path) -> None:
    path = tmp_path / "fast.mp4"
    write_video(path, [grey(i * 4) for i in range(60)], frames_per_second=50)
    frames = list(iter_frames(path))
    assert [frame.source_index for frame in frames] == list(range(0, 60, 2))
    assert len(list(iter_frames(path, frames_per_second=None))) == 60


def test_thirty_frames_a_second_take_the_nearest_frame(tmp_path: Path) -> None:
    path = tmp_path / "thirty.mp4"
    write_video(path, [grey(i * 4) for i in range(60)], frames_per_second=30)
    frames = list(iter_frames(path))
    assert len(frames) == 50
    for number, frame in enumerate(frames):
        assert abs(frame.time_seconds - number / 25) <= 1 / 60 + 1e-6


def test_variable_frame_rate_is_resampled_by_time(tmp_path: Path) -> None:
    """A frame that stood still for half a second must be shown for half a second."""
    path = tmp_path / "vfr.mkv"
    times = [0, 40, 80, 570, 610, 650]
    write_timed(path, times, [0, 40, 80, 120, 160, 200], container="matroska")
    found = np.round(levels_of(path) / 40).astype(int)
    nearest = [int(np.abs(np.array(times) - 40 * k).argmin()) for k in range(len(found))]
    assert len(found) == 17 and found.tolist() == nearest


def test_late_and_negative_first_timestamps_count_from_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    write_timed(
        path, [5000 + 40 * i for i in range(10)], list(range(0, 200, 20)), container="matroska"
    )
    times = [frame.time_seconds for frame in iter_frames(path)]
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-3)


def test_an_endless_hold_ends_the_video_instead_of_filling_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "jump.mkv"
    write_timed(path, [0, 40, 80, 10**8], [0, 50, 100, 150], container="matroska")
    counts: Counter[str] = Counter()
    assert len(list(iter_frames(path, counts=counts))) == 3
    assert counts["time_jump"] == 1


def test_max_seconds_stops_and_says_so(plain_video: Path) -> None:
    counts: Counter[str] = Counter()
    assert len(list(iter_frames(plain_video, max_seconds=1.0, counts=counts))) == 25
    assert counts["stopped_by_limit"] == 1


def test_a_frame_that_has_passed_is_free_at_once(plain_video: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in iter_frames(plain_video)) == 50
        waiting = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert waiting == 0


@pytest.mark.parametrize("window", [(0, 0, 64, 48), (7, 5, 30, 29), (33, 21, 64, 48), (1, 1, 2, 2)])
def test_a_region_equals_the_same_part_of_the_whole_picture(
    plain_video: Path, window: tuple[int, int, int, int]
) -> None:
    frame = next(iter_frames(plain_video))
    left, top, right, bottom = window
    np.testing.assert_array_equal(frame.region(*window), frame.image[top:bottom, left:right])


def test_odd_sizes_decode_and_cut_without_loss(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 101, 77, "yuv420p"
        picture = np.random.default_rng(0).integers(0, 256, (77, 101, 3), dtype=np.uint8)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    frame = next(iter_frames(path))
    assert frame.image.shape == (77, 101, 3)
    np.testing.assert_array_equal(frame.region(31, 11, 101, 77), frame.image[11:77, 31:101])


def test_full_and_limited_range_give_the_same_colours(tmp_path: Path) -> None:
    """Range confusion shifts contrast by 14%: a shortcut between datasets."""
    means = []
    for pixel_format in ("yuv420p", "yuvj420p"):
        path = tmp_path / f"{pixel_format}.mkv"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("mjpeg" if "j" in pixel_format else "ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], pixel_format
            frame = av.VideoFrame.from_ndarray(grey(40), format="rgb24")
            output.mux(stream.encode(frame.reformat(format=pixel_format)))
            output.mux(stream.encode(None))
        frame = next(iter_frames(path))
        means.append(frame.image.mean())
        assert abs(frame.region(8, 8, 24, 24).mean() - frame.image.mean()) < 1
    assert abs(means[0] - 40) < 3 and abs(means[1] - 40) < 3


def test_a_turned_video_comes_out_upright(tmp_path: Path) -> None:
    """A phone's portrait video is stored lying; faces must not lie."""
    path = tmp_path / "upright.mp4"
    picture = grey(0)
    picture[:, : SIZE[1] // 2] = 255  # left half white
    write_video(path, [picture] * 3)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version 0: the display matrix
    quarter = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, SIZE[0] << 16, 0, 1 << 30], ">i4")
    content[matrix : matrix + 36] = quarter.tobytes()
    path.write_bytes(content)
    frame = next(iter_frames(path))
    assert (SIZE[0], SIZE[1]) == (frame.width, frame.height)
    # Clockwise: what was left is now on top.
    assert frame.image[: SIZE[1] // 4].mean() > 200 > 50 > frame.image[-SIZE[1] // 4 :].mean()
    np.testing.assert_array_equal(frame.region(2, 3, 20, 30), frame.image[3:30, 2:20])


def test_a_cut_video_keeps_its_good_frames(tmp_path: Path) -> None:
    path = tmp_path / "cut.ts"
    noise = np.random.default_rng(0).integers(0, 256, (50, *SIZE, 3), dtype=np.uint8)
    with av.open(str(path), "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for image in noise:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 15 <= len(list(iter_frames(path))) <= 30


def test_flipped_bits_do_not_end_a_video(plain_video: Path, tmp_path: Path) -> None:
    content = bytearray(plain_video.read_bytes())
    rng = np.random.default_rng(0)
    start = content.index(b"mdat") + 200
    end = content.index(b"moov")
    for position in rng.integers(start, end, 30):
        content[position] ^= 1 << int(rng.integers(8))
    path = tmp_path / "flipped.mp4"
    path.write_bytes(content)
    counts: Counter[str] = Counter()
    assert len(list(iter_frames(path, counts=counts))) >= 25
    assert counts["bad_packets"] + counts["corrupt_frames"] > 0


class Tripping:
    """A container whose demuxer trips over a stream that it does not know, as PyAV's may."""

    def __init__(self) -> None:
        self.left: list[object] = ["first", IndexError("list index out of range"), "second"]

    def demux(self, *streams: object) -> Iterator[object]:
        assert streams == ("video",)
        while self.left:
            packet = self.left.pop(0)
            if isinstance(packet, IndexError):
                raise packet
            yield packet


def test_a_stream_that_begins_in_mid_file_costs_its_own_packets_only() -> None:
    """Found by the 1,413th of 2,000 mutants: a transport stream with a flipped bit."""
    assert list(packets_of(Tripping(), iter(["video"]))) == ["first", "second"]


@pytest.fixture
def canary() -> "http.server.ThreadingHTTPServer":
    """A server that notes whoever calls it."""
    hits: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hits = hits
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_playlists_reach_neither_the_network_nor_other_files(
    tmp_path: Path, plain_video: Path, canary: http.server.ThreadingHTTPServer, name: str
) -> None:
    """The classic attack on everything built on FFmpeg; see faults.md A1."""
    address = f"http://127.0.0.1:{canary.server_port}/latest/meta-data.ts"
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n"
    for target in (address, plain_video.as_uri()):
        path = tmp_path / name
        path.write_text(f"{head}{target}\n#EXT-X-ENDLIST\n")
        with pytest.raises(MediaError) as caught:
            list(iter_frames(path))
        assert caught.value.code in ("format_not_allowed", "not_media")
    assert canary.hits == []


def test_a_concat_script_does_not_open_its_neighbour(tmp_path: Path, plain_video: Path) -> None:
    (tmp_path / "neighbour.mp4").write_bytes(plain_video.read_bytes())
    path = tmp_path / "x.mp4"
    path.write_text("ffconcat version 1.0\nfile 'neighbour.mp4'\n")
    with pytest.raises(MediaError) as caught:
        list(iter_frames(path))
    assert caught.value.code in ("format_not_allowed", "not_media")


def test_a_name_that_looks_like_an_address_is_only_a_name(
    tmp_path: Path,
    plain_video: Path,
    canary: http.server.ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:evil.mp4", "im%03d.mp4", "-x.mp4", "a\nb.mp4", os.fsdecode(b"caf\xe9.mp4")):
        path = Path(name)
        path.write_bytes(plain_video.read_bytes())
        assert first_frame(path).width == SIZE[1]
    with pytest.raises(MediaError, match="no such file"):
        first_frame(Path(f"http://127.0.0.1:{canary.server_port}/a.mp4"))
    assert canary.hits == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"\0", "not_media"),
        (b"just some text, nothing more\n" * 50, "not_media"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), "format_not_allowed"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(5000), "not_media"),
    ],
)
def test_what_is_no_video_is_refused_with_a_code(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"bad\.mp4") as caught:
        first_frame(path)
    assert caught.value.code == code


def test_a_missing_index_is_refused(plain_video: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(plain_video.read_bytes()[: plain_video.stat().st_size // 2])
    with pytest.raises(MediaError) as caught:
        first_frame(path)
    assert caught.value.code == "not_media"


def test_pipes_folders_and_absent_files_are_refused_at_once(tmp_path: Path) -> None:
    """Opening a FIFO blocks for ever in every video library."""
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "pipe.mp4")
    started = time.monotonic()
    for name, code in (
        ("pipe.mp4", "not_regular_file"),
        ("link.mp4", "not_regular_file"),
        (".", "not_regular_file"),
        ("absent.mp4", "not_found"),
    ):
        with pytest.raises(MediaError) as caught:
            first_frame(tmp_path / name)
        assert caught.value.code == code
    assert time.monotonic() - started < 1


def test_a_giant_picture_is_refused_before_the_first_decode(
    plain_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 0.4 MB file can hold 134-megapixel frames: the limit is checked on the header alone."""
    monkeypatch.setattr(media_file, "MAX_PIXELS", SIZE[0] * SIZE[1] - 1)
    monkeypatch.setattr(video, "decoded_frames", lambda *_: pytest.fail("decoded a frame"))
    with pytest.raises(MediaError, match="larger than 8K") as caught:
        first_frame(plain_video)
    assert caught.value.code == "too_large"


def test_two_by_two_pixels_and_sound_only(tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.mp4"
    write_video(tiny, [np.zeros((2, 2, 3), np.uint8)] * 3)
    assert next(iter_frames(tiny)).image.shape == (2, 2, 3)
    assert read_waveform(tiny) is None
    sound_only = tmp_path / "sound.m4a"
    with av.open(str(sound_only), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(MediaError) as caught:
        first_frame(sound_only)
    assert caught.value.code == "no_video_stream"


def test_writing_is_atomic_and_names_its_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="odd"):
        write_video(tmp_path / "a.mp4", [np.zeros((3, 4, 3), np.uint8)])
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "a.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_frames_that_the_header_announces_and_nobody_finds_are_counted(
    plain_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off behind its index, an MP4 decodes without an error, only shorter."""
    whole, cut = Counter(), Counter()
    number = sum(1 for _ in iter_frames(plain_video, counts=whole))
    assert not whole["missing_frames"]
    decoded = video.decoded_frames
    half = number // 2
    monkeypatch.setattr(video, "decoded_frames", lambda *args: islice(decoded(*args), half))
    list(iter_frames(plain_video, counts=cut))
    assert cut["missing_frames"] == whole["source_frames"] - half


def write_flash(path: Path, *, sound_first: bool = False) -> None:
    """Pictures from 1.0 s on the file's clock and a sweep from 0.4 s on, one after the other."""
    rate = 48_000
    sweep = 0.7 * np.sin(np.cumsum(np.linspace(0.01, 0.9, rate * 2)))
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        audio = output.add_stream("pcm_s16le", rate=rate, layout="mono")
        pictures, sounds = [], []
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(grey(number * 9), format="rgb24")
            frame.pts, frame.time_base = 25 + number, Fraction(1, 25)
            pictures += stream.encode(frame)
        pictures += stream.encode(None)
        for first in range(0, len(sweep), 4800):
            samples = (sweep[None, first : first + 4800] * 32767).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(samples, "s16", layout="mono")
            sound.sample_rate, sound.time_base = rate, Fraction(1, rate)
            sound.pts = round(0.4 * rate) + first
            sounds += audio.encode(sound)
        packets = [*sounds, *pictures] if sound_first else [*pictures, *sounds]
        for packet in packets:
            output.mux(packet)


@pytest.mark.parametrize("sound_first", [False, True])
@pytest.mark.parametrize("most_bytes", [1 << 20, 1000])
@pytest.mark.parametrize("max_seconds", [None, 0.4])
def test_sound_kept_while_pictures_are_read_is_that_of_a_pass_of_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sound_first: bool,
    most_bytes: int,
    max_seconds: float | None,
) -> None:
    """Also where more comes first than memory is spent on, and where the pictures are cut off."""
    path = tmp_path / "a.mkv"
    write_flash(path, sound_first=sound_first)
    alone = read_sound_file(path, start_seconds=1.0, num_samples=16_000)
    monkeypatch.setattr(video, "MAX_WAITING_BYTES", most_bytes)
    source = SourceFile(path, "video", max_seconds, with_sound=True)
    indices = [frame.source_index for frame in source.frames()]
    assert indices == list(range(10 if max_seconds else 25)) and alone is not None
    expected = np.round(alone[: len(indices) * 640] * 32767).astype(np.int16)
    assert source.sound is not None and np.abs(expected).max() > 20_000
    np.testing.assert_array_equal(source.sound, expected)
    read = read_waveform(path, num_samples=16_000)
    np.testing.assert_array_equal(read, alone)
    assert [frame.source_index for frame in source.frames()] == indices
    assert source.sound is not None and len(source.sound) == len(expected)


def test_one_pass_opens_a_file_once_and_a_picture_never_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flash(tmp_path / "a.mkv")
    opened: list[Path] = []
    real_open = video.open_container
    monkeypatch.setattr(video, "open_container", lambda p: (opened.append(p), real_open(p))[1])
    source = SourceFile(tmp_path / "a.mkv", "video", with_sound=True)
    assert sum(1 for _ in source.frames()) == source.num_frames == 25
    assert source.sound is not None and source.info is not None and source.first is not None
    assert len(opened) == 1
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    picture = SourceFile(tmp_path / "a.png", "image")
    (first,) = picture.frames()
    (tmp_path / "a.png").unlink()
    assert list(picture.frames()) == [first] and picture.sizes == [(8, 6)]


@pytest.mark.parametrize(("most_bytes", "opened_twice"), [(1 << 20, False), (20_000, True)])
def test_kept_frames_are_the_same_without_decoding_unless_they_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, opened_twice: bool
) -> None:
    write_flash(tmp_path / "a.mkv")
    monkeypatch.setattr(source_file, "MOST_KEPT_BYTES", most_bytes)
    opened: list[Path] = []
    real_open = video.open_container
    monkeypatch.setattr(video, "open_container", lambda p: (opened.append(p), real_open(p))[1])

    def seen(source: SourceFile) -> list[tuple[int, float, bytes]]:
        return [(f.source_index, f.time_seconds, f.image.tobytes()) for f in source.frames()]

    source = SourceFile(tmp_path / "a.mkv", "video", with_sound=True, keep=True)
    assert next(source.frames()).source_index == 0  # one that was left early keeps nothing
    first, counts = seen(source), dict(source.counts)
    opened.clear()
    assert seen(source) == first == seen(SourceFile(tmp_path / "a.mkv", "video"))
    assert len(opened) == 1 + opened_twice
    assert source.num_frames == 25 and dict(source.counts) == counts
    frame = next(source.frames())
    assert frame.image is frame.image  # made once, but not kept with the frame
    assert opened_twice or "image" not in vars(next(source.frames()))
