"""Footage as small pictures at a steady rate, in constant memory, from files of any length and from streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from captioner.anomalies.config import FootageConfig
from captioner.errors import VideoError
from captioner.video.container import Deadline, check_file, surprises_are_failures, why_undecodable
from captioner.video.film import Film
from captioner.video.frames import scale
from captioner.video.layout import Layout
from captioner.video.live import STDIN, read_live
from captioner.video.sampling import Shown
from captioner.video.selection import Selection
from captioner.video.upright import Upright

CNN_SIZE = 256
"""Side of the pictures that the CNN looks at."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What is on the screen at a moment."""

    seconds: float
    """From the first frame."""
    pixels: np.ndarray
    """(rows, columns, 3) uint8 RGB."""


def read_footage(
    path: str | os.PathLike[str],
    config: FootageConfig,
    *,
    timeout_seconds: float | None = 60.0,
    idle_seconds: float | None = None,
) -> Iterator[Picture]:
    """What is on the screen at 0, 1 / rate, 2 / rate, ... seconds.

    ``-`` is a stream on standard input. With ``idle_seconds`` the file is one that grows, and over once nothing has
    been added for so long. ``timeout_seconds`` is the longest time without progress. Raises VideoError.
    """
    found = False
    with surprises_are_failures(path):
        for picture in _pictures(path, config, timeout_seconds, idle_seconds):
            found = True
            yield picture
    if not found:
        raise why_undecodable(Path(path), f"not one frame of {os.fspath(path)} can be decoded")


def _pictures(
    path: str | os.PathLike[str], config: FootageConfig, timeout_seconds: float | None, idle_seconds: float | None
) -> Iterator[Picture]:
    is_stream = os.fspath(path) == "-"
    file = STDIN if is_stream else check_file(path)
    if is_stream or idle_seconds is not None:
        live = read_live(file, idle_seconds=None if is_stream else idle_seconds)
        yield from _steady(live, config, layout=Layout(), end=lambda: None)
        return
    film = Film(file, Selection(1), Deadline(file, timeout_seconds))
    if film.is_still:
        raise VideoError("no_video", f"{path} is a single picture; anomalies need a video")
    yield from _steady(film.read(film.start), config, layout=film.layout, end=lambda: film.over)


def _steady(
    frames: Iterable[Shown], config: FootageConfig, *, layout: Layout, end: Callable[[], Fraction | None]
) -> Iterator[Picture]:
    """The frames at a steady rate: none, one or several pictures of each, the last until ``end()`` if it is known."""
    upright = Upright()
    step, number = 1 / Fraction(config.rate), 0
    held: Shown | None = None

    def shown_until(moment: Fraction) -> Iterator[Picture]:
        nonlocal number
        if held is None or number * step >= moment:
            return
        pixels = small(upright(*held, layout).pixels, config)
        while number * step < moment:
            yield Picture(float(number * step), pixels)
            number += 1

    for shown in frames:
        yield from shown_until(shown[0])
        held = shown
    if held is not None:
        yield from shown_until(end() or held[0] + step / 2)


def small(rgb: np.ndarray, config: FootageConfig) -> np.ndarray:
    """(height, width, 3) uint8 as the detector looks at it."""
    if config.see == "cnn":
        return scale(rgb, CNN_SIZE, CNN_SIZE)
    return scale(rgb, config.height, config.width)
