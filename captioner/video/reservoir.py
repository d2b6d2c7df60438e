"""Keeps a bounded number of candidate frames for a span whose end is not known yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from captioner.video.config import VideoConfig
from captioner.video.frames import resize_frame
from captioner.video.layout import Layout
from captioner.video.upright import Upright

_CANDIDATES = 8
"""Kept for each frame wanted, at most: a span is then sampled within an eighth of the distance of its frames."""
_RAW_BYTES = 512 << 10
"""Decoded frames up to this size are kept as they are and converted only when chosen; larger ones are scaled first."""
_LARGE_STEP = Fraction(1, 16)
"""Of large frames no more are kept than one in this many seconds: scaling each would cost as much as decoding."""


@dataclass(frozen=True)
class Candidate:
    """A frame that may be chosen."""

    seconds: Fraction
    picture: Any
    """The decoded frame, or the pixels made from it already."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The frames of one span as the network gets them."""

    pixels: np.ndarray
    """(T, S, S, 3) uint8 RGB."""
    times_seconds: tuple[float, ...]
    width: int
    """As a player shows it."""
    height: int


class Reservoir:
    """Takes the frames of a film as they come; gives those of each span when its end becomes known.

    ``add`` every frame, ``settle`` the moment before which no span will end any more, ``take`` a span.
    """

    def __init__(self, config: VideoConfig, *, upright: Upright, layout: Layout) -> None:
        self._config = config
        self._layout = layout
        self._upright = upright
        self._capacity = config.frames * (_CANDIDATES if config.frames <= 64 else 2)
        self._step = Fraction(0)
        self._kept: list[Candidate] = []
        self._pending: deque[Candidate] = deque()
        self._newest: Candidate | None = None
        self._size = (0, 0)

    def add(self, seconds: Fraction, frame: Any) -> None:
        """The next frame, shown from ``seconds`` on."""
        self._newest = Candidate(seconds, frame)
        picture = frame
        if sum(plane.buffer_size for plane in frame.planes) > _RAW_BYTES:
            before = self._pending or self._kept
            if before and seconds - before[-1].seconds < _LARGE_STEP:
                return
            picture = self._pixels(frame)
        self._pending.append(Candidate(seconds, picture))

    def settle(self, seconds: Fraction) -> None:
        """Frames before ``seconds`` belong to the span that is open."""
        while self._pending and self._pending[0].seconds < seconds:
            candidate = self._pending.popleft()
            if self._kept and candidate.seconds - self._kept[-1].seconds < self._step * Fraction(3, 4):
                continue
            self._kept.append(candidate)
            if len(self._kept) > self._capacity:
                self._thin()

    def take(self, start: Fraction, end: Fraction, *, carry: bool) -> Chosen:
        """The frames of the open span, which turns out to be start .. end; the next one begins at ``end``.

        With ``carry`` the picture on the screen at ``end`` belongs to both; without, the next begins with a new one.
        """
        self.settle(end)
        if not self._kept:  # shorter than the distance at which large frames are kept
            assert self._newest is not None
            self._kept.append(self._newest)
        chosen: list[Candidate] = []
        at = 0
        for i in range(self._config.frames):
            moment = start + (end - start) * Fraction(2 * i + 1, 2 * self._config.frames)
            while at + 1 < len(self._kept) and self._kept[at + 1].seconds <= moment:
                at += 1
            if not chosen or chosen[-1] is not self._kept[at]:
                chosen.append(self._kept[at])
        pixels = [c.picture if isinstance(c.picture, np.ndarray) else self._pixels(c.picture) for c in chosen]
        self._kept, self._step = self._kept[-1:] if carry else [], Fraction(0)
        return Chosen(
            pixels=np.stack(pixels),
            times_seconds=tuple(float(c.seconds) for c in chosen),
            width=self._size[0],
            height=self._size[1],
        )

    def _thin(self) -> None:
        """Keep every other candidate, and from now on take them as far apart."""
        self._kept = self._kept[::2]
        self._step = (self._kept[-1].seconds - self._kept[0].seconds) / (len(self._kept) - 1)

    def _pixels(self, frame: Any) -> np.ndarray:
        upright = self._upright(Fraction(0), frame, self._layout)
        self._size = upright.size_shown
        return resize_frame(
            upright.pixels, size=self._config.size, how=self._config.resize, pixel_aspect=upright.pixel_aspect
        )
