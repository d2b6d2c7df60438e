"""Opening a file that may be anything, and saying what it is.

Whatever cannot be captioned becomes a :class:`~captioner.errors.VideoError` with a code and one plain sentence.
A file only ever opens itself: a playlist, a concatenation script or a link inside it reaches neither another file nor
the network, because FFmpeg gets a list of the formats and protocols it may use, and the path of a regular file.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from captioner.errors import VideoError

MAX_PIXELS = 33_554_432
"""The largest picture that is decoded (8K); a small file can claim to be far larger than memory."""

# Image formats are the *_pipe ones: they read one picture from one file. FFmpeg's image2 would expand img%03d.jpg.
_FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,h264,hevc,m4v,mjpeg,ivf,obu,gif,apng,"
    "jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe,mp3,wav,flac,aac"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS, "max_pixels": str(MAX_PIXELS)}


class Deadline:
    """A point in time after which work on a hostile or endless file is given up."""

    def __init__(self, path: Path, timeout_seconds: float | None) -> None:
        self.path = path
        self.timeout_seconds = timeout_seconds
        self._end = None if timeout_seconds is None else time.monotonic() + timeout_seconds

    @property
    def left_seconds(self) -> float | None:
        return None if self._end is None else max(0.001, self._end - time.monotonic())

    def check(self) -> None:
        """Raise VideoError("timeout") once the time is up."""
        if self._end is not None and time.monotonic() > self._end:
            raise self.error()

    def error(self) -> VideoError:
        return VideoError("timeout", f"{self.path} took longer than {self.timeout_seconds:g} seconds")


def check_file(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a non-empty regular file; raises VideoError not_found, not_a_file or empty.

    Looked at before anything opens it: opening a FIFO waits for ever, reading a device may do anything.
    """
    name = os.fspath(path)
    try:
        file = Path(name).absolute()
        status = file.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid file name"
        raise VideoError("not_found", f"{name!r} cannot be opened: {reason}") from None
    if stat.S_ISDIR(status.st_mode):
        raise VideoError("not_a_file", f"{name} is a folder; name the video files in it")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("not_a_file", f"{name} is a pipe, socket or device; only regular files can be captioned")
    if status.st_size == 0:
        raise VideoError("empty", f"{name} is empty (0 bytes)")
    return file


@contextmanager
def open_video(path: Path, deadline: Deadline) -> Iterator[tuple[Any, Any]]:
    """``(container, video stream)`` of a checked path, closed on leaving; raises VideoError."""
    limit = deadline.left_seconds
    try:
        container = av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace", timeout=(limit, limit))
    except av.FFmpegError as error:
        raise _refusal(path, error, deadline) from None
    with container:
        yield container, _best_stream(path, container)


def _best_stream(path: Path, container: Any) -> Any:
    """The stream that a player would show; a cover picture in a music file is none."""
    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise VideoError("no_video", f"{path} has no video in it, only {_what_else(container)}")
    stream = next((s for s in streams if s.disposition & av.stream.Disposition.default), streams[0])
    context = stream.codec_context
    if context is None:
        raise VideoError("unsupported", f"{path} holds video in a codec that cannot be decoded here")
    if context.width * context.height > MAX_PIXELS:
        raise VideoError(
            "too_large", f"{path} is {context.width} x {context.height} pixels; the limit is {MAX_PIXELS} in all"
        )
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.thread_count = 1
    return stream


def _what_else(container: Any) -> str:
    kinds = sorted({s.type for s in container.streams})
    return " and ".join(kinds) if kinds else "no stream at all"


def _refusal(path: Path, error: av.FFmpegError, deadline: Deadline) -> VideoError:
    """Why FFmpeg would not open it, in our words."""
    if isinstance(error, av.error.ExitError):
        return deadline.error()
    if isinstance(error, av.error.InvalidDataError):
        return VideoError("damaged", f"{path} is not a video or is damaged beyond reading")
    return VideoError("unsupported", f"{path} is in a format that is not supported")
