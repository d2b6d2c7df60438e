"""Captions drawn into the picture: a clip that shows them everywhere, as MP4 (H.264 and AAC)."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.stream import Discard

from captioner.io.extras import import_extra
from captioner.outputs.subtitles import Cue, cues
from captioner.safe.whole import whole_path
from captioner.video.container import Deadline, check_file, open_video, surprises_are_failures
from captioner.video.frames import iter_frames, probe, scale
from captioner.video.upright import SampledFrame

if TYPE_CHECKING:
    from captioner.caption.result import Caption

MOST_ROWS = 1080
"""Higher pictures are made this high."""
MOST_FRAMES_PER_SECOND = 30.0
_SOUND_RATE = 48_000
_FONTS = ("DejaVuSans.ttf", "Arial.ttf")


def burn(
    path: str | os.PathLike[str],
    captions: Iterable[Caption],
    out: str | os.PathLike[str],
    *,
    timeout_seconds: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the video ``path`` with its captions in the picture to ``out``, an MP4; its sound is kept.

    Raises VideoError for a file that cannot be decoded, CaptionerError without Pillow and where ``out`` cannot be
    written.
    """
    import_extra("PIL", extra="web", what="drawing captions", library="Pillow")
    shown = list(cues(captions))
    info = probe(path, timeout_seconds=timeout_seconds)
    rate = min(info.frames_per_second or 25.0, MOST_FRAMES_PER_SECOND)
    end = info.duration_seconds or max((cue.end_ms / 1000 for cue in shown), default=1.0)
    frames = iter_frames(path, count=max(1, round(end * rate)), timeout_seconds=timeout_seconds)
    target = Path(out)
    with (
        whole_path(target, overwrite=overwrite, suffix=".mp4") as temporary,
        av.open(str(temporary), "w", options={"movflags": "faststart"}) as file,
    ):
        pictures = _pictures(file, _timed(frames, end=end), shown, rate=rate)
        sound = _sound(file, path, timeout_seconds) if info.has_audio else iter(())
        for _, packet in heapq.merge(pictures, sound, key=lambda timed: timed[0]):
            file.mux(packet)
    return target


def _timed(frames: Iterable[SampledFrame], *, end: float) -> Iterator[tuple[int, np.ndarray]]:
    """``(milliseconds, pixels)`` of each frame, of one even size, the first at 0 and the last once more at the end."""
    milliseconds, pixels, shape = -1, None, None
    for frame in frames:
        if shape is None:
            shape = _shape(*frame.size_shown)
        pixels = frame.pixels if frame.pixels.shape[:2] == shape else scale(frame.pixels, *shape)
        milliseconds = 0 if milliseconds < 0 else max(round(1000 * frame.time_seconds), milliseconds + 1)
        yield milliseconds, pixels
    if pixels is not None and 1000 * end - 10 > milliseconds:
        yield round(1000 * end) - 10, pixels


def _shape(width: int, height: int) -> tuple[int, int]:
    """Rows and columns, both even."""
    rows = min(height, MOST_ROWS)
    return max(2, rows - rows % 2), max(2, 2 * round(width * rows / height / 2))


def _pictures(
    file: Any, frames: Iterator[tuple[int, np.ndarray]], shown: Sequence[Cue], *, rate: float
) -> Iterator[tuple[float, Any]]:
    """``(seconds, packet)`` of the video, with each cue drawn while it lasts."""
    first = next(frames)
    rows, columns = first[1].shape[:2]
    stream = file.add_stream("libx264", rate=1000)
    stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
    stream.options = {"preset": "veryfast", "crf": "21", "g": str(max(1, round(2 * rate)))}
    cue, rest = None, iter(shown)
    for milliseconds, pixels in itertools.chain([first], frames):
        while cue is None or cue.end_ms <= milliseconds:
            cue = next(rest, None)
            if cue is None:
                break
        if cue is not None and cue.start_ms <= milliseconds:
            pixels = _drawn(pixels, cue.lines)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
        for packet in stream.encode(frame):
            yield float(packet.dts * packet.time_base), packet
    for packet in stream.encode(None):
        yield float(packet.dts * packet.time_base), packet


def _drawn(pixels: np.ndarray, lines: tuple[str, ...]) -> np.ndarray:
    """A copy of ``pixels`` with the lines near its lower edge."""
    ink, cover, top = _lettering(lines, *pixels.shape[:2])
    out = pixels.copy()
    part = out[top : top + len(ink)]
    part[:] = part + (ink.astype(np.int16) - part) * cover // 255
    return out


@lru_cache(maxsize=4)
def _lettering(lines: tuple[str, ...], rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, int]:
    """White letters with a black edge: colours and cover (h, columns, 3) and (h, columns, 1), and the first row."""
    from PIL import Image, ImageDraw

    text = "\n".join(lines)
    for size in range(max(10, rows // 16), 7, -1):
        edge = max(1, size // 10)
        draw = ImageDraw.Draw(Image.new("RGBA", (1, 1)))
        box = draw.multiline_textbbox((0, 0), text, font=_font(size), stroke_width=edge, align="center")
        if box[2] - box[0] <= 0.96 * columns:
            break
    height = min(rows, round(box[3] - box[1]) + 2 * edge)
    top = max(0, rows - height - max(2, rows // 20))
    sheet = Image.new("RGBA", (columns, height), (0, 0, 0, 0))
    ImageDraw.Draw(sheet).multiline_text(
        ((columns - box[0] - box[2]) / 2, edge - box[1]),
        text,
        font=_font(size),
        fill="white",
        stroke_width=edge,
        stroke_fill="black",
        align="center",
    )
    drawn = np.asarray(sheet)
    return drawn[..., :3], drawn[..., 3:].astype(np.int16), top


@lru_cache(maxsize=16)
def _font(size: int) -> Any:
    from PIL import ImageFont

    for name in _FONTS:  # they have more alphabets than Pillow's own
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _sound(file: Any, path: str | os.PathLike[str], timeout_seconds: float | None) -> Iterator[tuple[float, Any]]:
    """``(seconds, packet)`` of the sound as stereo AAC; it ends early where it cannot be decoded any further."""
    stream = file.add_stream("aac", rate=_SOUND_RATE, layout="stereo")
    return _sound_packets(stream, check_file(path), timeout_seconds)


def _sound_packets(stream: Any, source: Path, timeout_seconds: float | None) -> Iterator[tuple[float, Any]]:
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_SOUND_RATE)
    with surprises_are_failures(source), open_video(source, Deadline(source, timeout_seconds)) as (container, video):
        video.discard = Discard.all
        heard = container.streams.audio[0]
        heard.discard = Discard.default
        begins = (container.start_time or 0) / av.time_base
        said: int | None = None
        with contextlib.suppress(av.FFmpegError):
            for frame in container.decode(heard):
                if said is None:
                    said = max(0, round(((frame.time or 0.0) - begins) * _SOUND_RATE))
                for part in resampler.resample(frame):
                    part.pts, part.time_base = said, Fraction(1, _SOUND_RATE)
                    said += part.samples
                    for packet in stream.encode(part):
                        yield float(packet.dts * packet.time_base), packet
    for packet in stream.encode(None):
        yield float(packet.dts * packet.time_base), packet
