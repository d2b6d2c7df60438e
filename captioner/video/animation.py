"""Decodes animated WebP with Pillow, where installed; FFmpeg cannot."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import VideoError
from captioner.video.container import MAX_PIXELS, Deadline
from captioner.video.selection import Selection
from captioner.video.timeline import Timeline
from captioner.video.upright import on_background

_ANIMATED = 0x02  # of the flags in the VP8X chunk


def is_animated_webp(path: Path) -> bool:
    """Whether the file is a WebP of several pictures, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & _ANIMATED)


def animation_timeline(path: Path, deadline: Deadline) -> tuple[Timeline, list[int]]:
    """When its pictures are shown, in milliseconds from the first, and where it ends; raises VideoError."""
    starts = [0]
    with _opened(path) as animation:
        for number in range(animation.n_frames):
            deadline.check()
            animation.seek(number)
            starts.append(starts[-1] + max(1, int(animation.info.get("duration") or 100)))
    count, end = len(starts) - 1, starts.pop()
    milli = Fraction(1, 1000)
    return Timeline(tick_seconds=milli, frame_seconds=end * milli / count, origin=0, end=end, packets=count), starts


def animation_frames(
    path: Path, timeline: Timeline, starts: list[int], selection: Selection, deadline: Deadline
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """The selected pictures, each once: seconds, and (height, width, 3) uint8 RGB."""
    wanted = sorted({sum(start <= aim.middle for start in starts) - 1 for aim in selection.aims(timeline)})
    with _opened(path) as animation:
        for number in wanted:
            deadline.check()
            animation.seek(number)
            picture = np.array(animation.convert("RGBA"))
            yield timeline.seconds(starts[number]), on_background(picture[..., :3], picture[..., 3])


def _opened(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise VideoError(
            "unsupported", f"{path} is an animated WebP, which only Pillow decodes here: pip install pillow"
        ) from None
    animation = Image.open(path, formats=["WEBP"])
    if animation.width * animation.height > MAX_PIXELS:
        animation.close()
        size = f"{animation.width} x {animation.height} pixels"
        raise VideoError("too_large", f"{path} is {size}; at most {MAX_PIXELS:,} can be decoded")
    return animation
