"""Opens untrusted files safely; a file that is not a readable video raises a VideoError with one sentence.

A playlist, a concatenation script or a link inside a file reaches neither another file nor the network. FFmpeg gets a
list of the formats and protocols it may use, and the absolute path of a regular file.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.stream import Discard, Disposition

from captioner.errors import CaptionerError, VideoError, VideoErrorCode
from captioner.video.boxes import is_cut_off, is_encrypted, movie_index
from captioner.video.exif import exif_orientation
from captioner.video.joined import OneClock
from captioner.video.layout import mp4_stereo_mode

MAX_PIXELS = 67_108_864
"""The largest picture that is decoded: 8K video and photos of 64 megapixels, which take 560 MB (of 108: 760 MB). A
small file can claim to be far larger than memory."""

# Left out on purpose: whatever opens other files (hls, dash, concat, image2, sdp, ...). The audio formats are here
# so that a song is called a song.
FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,mjpeg,flv,ogg,asf,mxf,dv,rm,gif,apng,"
    "jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe,mp3,wav,flac,aac"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "max_pixels": str(MAX_PIXELS)}

_ADDRESS = re.compile(r"(https?|ftps?|rtsps?|rtmps?|s3|gs|hdfs)://", re.IGNORECASE)

# What the first bytes say, and FFmpeg's format for it. Named outright, because FFmpeg's own guess looks at the file's
# name as well: anything called img%03d.png would be taken for a numbered sequence of other files.
_SIGNATURES = [
    (re.compile(pattern, re.DOTALL), form)
    for pattern, form in (
        (rb"\x89PNG\r\n\x1a\n.*acTL", "apng"),
        (rb"\x89PNG\r\n\x1a\n", "png_pipe"),
        (rb"\xff\xd8\xff", "jpeg_pipe"),
        (rb"RIFF....WEBP", "webp_pipe"),
        (rb"BM....\0\0\0\0", "bmp_pipe"),
        (rb"II\*\0|MM\0\*", "tiff_pipe"),
        (rb"GIF8", "gif"),
        (rb"....(ftyp|moov|mdat|wide|free|skip|pnot)", "mov"),
        (rb"\x1a\x45\xdf\xa3", "matroska"),
        (rb"RIFF....AVI ", "avi"),
        (rb"FLV\x01", "flv"),
        (rb"OggS", "ogg"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
        (rb"\0\0\x01\xba", "mpeg"),
    )
]
# Where pictures say how large they are, and how the two numbers are written; a JPEG has its height first.
_SIZES = [
    (re.compile(pattern, re.DOTALL), packing)
    for pattern, packing in (
        (rb"\x89PNG\r\n\x1a\n....IHDR", ">II"),
        (rb"GIF8..", "<HH"),
        (rb"\xff\xd8\xff.*?\xff[\xc0-\xc2]..\x08", ">HH"),
    )
]
# Recordings in these are joined by putting one file after the other.
_JOINED_FORMATS = ("mpegts", "mpeg")
# A cover in a song is no video, and a tile of a larger picture is not the picture.
_NEVER_SHOWN = (Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.dependent).value
_PLAYLISTS = ("#extm3u", "ffconcat", "<?xml", "<mpd", "<smil", "<asx", "[playlist]", "[reference]", "v=0", "rtsptext")


class Deadline:
    """The moment when work on a file is given up."""

    def __init__(self, path: Path, timeout_seconds: float | None) -> None:
        self.error = VideoError("timeout", f"{path} took longer than {timeout_seconds} seconds")
        self._timeout_seconds = timeout_seconds
        self.renew()

    def renew(self) -> None:
        """Start counting anew: something has come of the work so far."""
        self._end = None if self._timeout_seconds is None else time.monotonic() + self._timeout_seconds

    @property
    def left_seconds(self) -> float | None:
        return None if self._end is None else max(0.001, self._end - time.monotonic())

    @property
    def has_passed(self) -> bool:
        return self._end is not None and time.monotonic() > self._end

    def check(self) -> None:
        """Raise VideoError("timeout") once it has passed."""
        if self.has_passed:
            raise self.error


def check_file(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a regular file with something in it; raises VideoError not_found, not_a_file or empty.

    Looked at before it is opened: opening a FIFO waits for ever, and reading a device may do anything.
    """
    name = os.fspath(path)
    if _ADDRESS.match(name) and not os.path.lexists(name):
        raise VideoError("not_found", f"{name} is an address, not a file; download it first")
    try:
        status = Path(name).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid file name"
        raise VideoError("not_found", f"{name} cannot be opened: {reason}") from None
    if not name or stat.S_ISDIR(status.st_mode):
        raise VideoError("not_a_file", f"{name} is a folder, not a video file")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("not_a_file", f"{name} is a pipe, socket or device; only a regular file can be read safely")
    if status.st_size == 0:
        raise VideoError("empty", f"{name} is empty (0 bytes)")
    return Path(name).absolute()


@contextmanager
def surprises_are_failures(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what a library raises at a hostile file into that file's VideoError, so that a run over many goes on."""
    try:
        yield
    except CaptionerError:
        raise
    except MemoryError:
        raise VideoError("too_large", f"{os.fspath(path)} needs more memory than is available") from None
    except Exception as error:
        what = f"{os.fspath(path)} cannot be decoded ({type(error).__name__}: {error})"
        raise VideoError("damaged", what) from error


@contextmanager
def open_video(path: Path, deadline: Deadline) -> Iterator[tuple[Any, Any]]:
    """``(container, stream)``: a checked file, open, and the video that a player would show; raises VideoError."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - Path.open costs as much as decoding a small frame
            head = file.read(4096)
    except OSError as error:
        raise VideoError("not_found", f"{path} cannot be opened: {error.strerror}") from None
    form = _format_of(head, path)
    try:
        container = _open(path, form, _OPTIONS, deadline)
    except av.FFmpegError as error:
        raise _refusal(path, head, error, deadline) from None
    with container:
        stream = video_stream(path, container, form)
        if not stream.codec_context.width:  # damaged, or so large that FFmpeg did not even look at it
            _check_size(path, *_size_without_limit(path, form, head, deadline))
        yield container, stream


def _open(path: Path, form: str | None, options: dict[str, str], deadline: Deadline) -> Any:
    # "file:" keeps a name such as a:b.mp4 from being taken for a protocol.
    limit = deadline.left_seconds
    return av.open(f"file:{path}", format=form, options=options, metadata_errors="replace", timeout=(limit, limit))


def _size_without_limit(path: Path, form: str | None, head: bytes, deadline: Deadline) -> tuple[int, int]:
    """What a file says of its width and height, (0, 0) if nothing; no picture is decoded, so none takes memory."""
    for pattern, packing in _SIZES:  # those that can be larger than FFmpeg can count
        found = pattern.match(head)
        if found is not None:
            first, second = struct.unpack_from(packing, head, found.end())
            return (second, first) if packing == ">HH" else (first, second)
    try:
        with _open(path, form, {**_OPTIONS, "max_pixels": str(2**31 - 1), "skip_frame": "all"}, deadline) as container:
            return max(((s.width, s.height) for s in container.streams.video if s.codec_context), default=(0, 0))
    except av.FFmpegError:
        return 0, 0


def is_still(container: Any) -> bool:
    """Whether the file is one picture, not a video."""
    return container.format.name.endswith("_pipe")


def read_packets(container: Any, stream: Any, deadline: Deadline) -> Iterator[Any]:
    """The packets of ``stream`` that hold data, from where the file stands; VideoError("timeout") when it is late.

    Where recordings were joined, or a recorder restarted, their clocks are put one after the other.
    """
    packets = container.demux(stream)
    clock = OneClock(stream) if container.format.name in _JOINED_FORMATS else None
    try:
        for packet in packets:
            deadline.check()
            if packet.size:  # PyAV ends with an empty one, and AVI has empty ones for repeated frames
                if clock:
                    clock.set(packet)
                yield packet
    except av.error.ExitError:
        raise deadline.error from None
    except IndexError:  # PyAV's own, at the end of a recording in which a stream turned up that was not there at first
        return


def _format_of(head: bytes, path: Path) -> str | None:
    """The format that the first bytes give away; None: let FFmpeg find out."""
    form = next((form for pattern, form in _SIGNATURES if pattern.match(head)), None)
    if form == "jpeg_pipe" and path.suffix.lower() in (".mjpeg", ".mjpg"):  # the same bytes, but many pictures
        return "mjpeg"
    return form


def video_stream(path: Path, container: Any, form: str | None) -> Any:
    streams = [s for s in container.streams.video if not s.disposition.value & _NEVER_SHOWN]
    index = movie_index(path) if form == "mov" else b""
    if is_encrypted(index) or (form == "mov" and not streams and is_cut_off(path)):  # or by chance noise is decoded
        raise why_undecodable(path, "")
    if not streams:
        others = sorted({_called(s) for s in container.streams})
        raise VideoError("no_video", f"{path} has no video in it, only {' and '.join(others) or 'nothing at all'}")
    stream = next((s for s in streams if s.disposition.value & Disposition.default.value), streams[0])
    if form == "mov" and stream.frames == 1:  # an animated AVIF holds its first picture once more, as a still
        stream = max(streams, key=lambda s: s.frames)
    context = stream.codec_context
    if context is None:
        raise why_undecodable(path, f"{path} uses a codec that cannot be decoded here", code="unsupported")
    _check_size(path, context.width, context.height)
    context.options = {"max_pixels": str(MAX_PIXELS)}  # the option given on opening only guards the opening
    context.thread_count = 1  # one clip a core beats many cores a clip, and errors come where they belong
    if mode := mp4_stereo_mode(index):  # FFmpeg tells this of Matroska alone
        stream.metadata["stereo_mode"] = mode
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream


def _called(stream: Any) -> str:
    return "a cover picture" if stream.disposition.value & Disposition.attached_pic.value else str(stream.type)


def why_undecodable(path: Path, otherwise: str, *, code: VideoErrorCode = "damaged") -> VideoError:
    """Why no frame of a file could be had, as far as its own structure tells; ``otherwise`` with ``code`` if not."""
    with contextlib.suppress(OSError):
        if is_encrypted(movie_index(path)):
            return VideoError("unsupported", f"{path} is encrypted; it can only be played with its key")
        if is_cut_off(path):
            reason = "its index is missing or incomplete, as when a recording breaks off"
            return VideoError("damaged", f"{path} is cut off: {reason}")
    return VideoError(code, otherwise)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        if (exif_orientation(path) or 1) >= 5:  # lying on its side: told as a viewer shows it
            width, height = height, width
        raise VideoError("too_large", f"{path} is {width} x {height} pixels; at most {MAX_PIXELS:,} can be decoded")


def _refusal(path: Path, head: bytes, error: av.FFmpegError, deadline: Deadline) -> VideoError:
    """Why FFmpeg did not open it, told by the error and by the first bytes."""
    if isinstance(error, av.error.ExitError) or deadline.has_passed:  # a head that was cut short looks damaged
        return deadline.error
    text = _text(head)
    if text is not None:
        if text.lstrip("\ufeff \t\r\n").lower().startswith(_PLAYLISTS):
            return VideoError("blocked", f"{path} is a playlist that points at other files, which are never opened")
        return VideoError("no_video", f"{path} is a text file, not a video")
    if isinstance(error, av.error.InvalidDataError):
        what = f"{path} is damaged beyond reading, or not a video"
        return why_undecodable(path, what) if _format_of(head, path) == "mov" else VideoError("damaged", what)
    return VideoError("unsupported", f"{path} is in a format that is not supported")


def _text(head: bytes) -> str | None:
    """The first bytes as text, or None if they are not text."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last letter may be cut in two
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\t\r\n\f\ufeff" for c in text) else None
