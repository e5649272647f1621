"""The one way in to video and sound, which may be hostile: guarded opening, tolerant decoding."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.stream import Disposition

from avkd.data.media.media_file import MediaError, check_regular_file, check_size

_OPEN_TIMEOUT_SECONDS = 10.0
# Demuxers, not file suffixes. Playlists (hls, concat, dash) and image2 are absent on purpose: they
# open *other* files or addresses named inside the file.
_FORMATS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2",
    "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo",
)  # fmt: skip
_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
# Names and comments that are no valid UTF-8: PyAV 18 has to be asked to bear them, PyAV 19 does.
_ODD_METADATA: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)


@contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """Open a container behind the guards: regular file, known format, local protocol only.

    Raises:
        MediaError: the file cannot be opened; the code says why.
    """
    check_regular_file(path)
    try:
        container = av.open(
            # "file:" plus an absolute path: a name such as "http:evil.mp4" stays a name.
            "file:" + os.path.abspath(path),  # noqa: PTH100 - resolve() would follow links
            options=_OPTIONS,
            timeout=(_OPEN_TIMEOUT_SECONDS, _OPEN_TIMEOUT_SECONDS),
            **_ODD_METADATA,
        )
    except av.error.ArgumentError as error:
        allowed = "convert it to MP4, MOV, MKV, WebM, AVI, MPEG or TS"
        detail = f"this kind of file is not allowed here; {allowed}"
        raise MediaError("format_not_allowed", path, detail) from error
    except PermissionError as error:
        raise MediaError("io_error", path, "permission denied; make it readable") from error
    except (FFmpegError, OSError) as error:
        detail = f"not a video, or cut off before its index ({error.strerror}); copy it again"
        raise MediaError("not_media", path, detail) from error
    with container:
        yield container


def video_stream(container: Any, path: Path) -> Any:
    """The first real video stream (cover art does not count).

    Raises:
        MediaError: ``no_video_stream``, ``unsupported_codec`` or ``too_large``.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise MediaError("no_video_stream", path, "holds no video; give a file with a picture")
    stream = streams[0]
    if stream.codec_context is None:
        detail = "its video codec is not supported; convert it to H.264"
        raise MediaError("unsupported_codec", path, detail)
    check_size(stream.width, stream.height, path)
    # Workers are processes; threads inside them would only fight for the same cores.
    stream.thread_type = "NONE"
    return stream


def sound_stream(container: Any) -> Any | None:
    """The default sound stream, else the first, of those that can be decoded; or None."""
    decodable = [stream for stream in container.streams.audio if stream.codec_context is not None]
    preferred = [stream for stream in decodable if stream.disposition & Disposition.default]
    return next(iter((*preferred, *decodable)), None)


def packets_of(container: Any, streams: Iterable[Any]) -> Iterator[Any]:
    """Packets in the order of the file; the last is None where the container is cut off."""
    wanted = tuple(streams)
    packets = container.demux(*wanted)
    while True:
        try:
            yield next(packets)
        except StopIteration:
            return
        except IndexError:  # of a stream that began after the file was opened: PyAV trips over it
            packets = container.demux(*wanted)
        except (FFmpegError, OSError):  # the container ends in the middle of a packet
            yield None
            return


def decoded_frames(
    packets: Iterable[Any], stream: Any, path: Path, counts: Counter[str]
) -> Iterator[Any]:
    """Every frame of a stream that can be decoded; what cannot is counted and skipped.

    Raises:
        MediaError: ``too_large``.
    """
    for packet in packets:
        if packet is None:
            counts["cut_off"] += 1
        try:
            frames = stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):  # ValueError: the stream turned into another kind
            counts["bad_packets"] += 1
            frames = []
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                check_size(frame.width, frame.height, path)
            counts["corrupt_frames"] += bool(frame.is_corrupt)
            yield frame
