"""A video's frame rate: the one that the container announces, checked against the times of the frames.

Containers without a rate of their own give their clock's: DV 60,000 frames a second, Matroska and FLV 1,000.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_LEAST, _MOST = Fraction(1, 100), 1000
_ASSUMED = Fraction(25)
_SLACK = Fraction(1, 50)
_FIELD = Fraction(45, 100)
"""Packets that are this much nearer than frames may be the two fields of interlaced frames."""

_NO_CAMERA = Fraction(1, 480)
"""Frames announced nearer than this follow the clock, not a camera."""
RECENT = 32
"""Frames whose times tell the rate of a video that is read once."""


@dataclass(frozen=True, kw_only=True)
class FrameRate:
    """The distance of two frames, in seconds."""

    announced: Fraction
    """By the container's own word."""
    average: Fraction
    """The same, unless the frames' times contradict it."""
    last: Fraction
    """How long the last frame is shown, where its packet does not say."""

    @classmethod
    def of(cls, stream: Any) -> FrameRate:
        """What the container announces, unchecked."""
        rates = (stream.average_rate, stream.guessed_rate)
        return cls.announcing(
            1 / next((Fraction(rate) for rate in rates if rate and _LEAST <= rate <= _MOST), _ASSUMED)
        )

    @classmethod
    def announcing(cls, seconds: Fraction) -> FrameRate:
        return cls(announced=seconds, average=seconds, last=seconds)

    def check(self, times: Sequence[int], *, tick_seconds: Fraction) -> FrameRate:
        """The same, unless the times of frames, in ticks, contradict it.

        A gap in a recording contradicts nothing: the rate may fit the average or the usual distance.
        """
        expected = self.announced / tick_seconds
        most = expected * (1 + _SLACK)
        if len(times) < 2 or expected * _FIELD <= Fraction(max(times) - min(times), len(times) - 1) <= most:
            return self
        ticks = sorted(set(times))
        steps = sorted(b - a for a, b in itertools.pairwise(ticks))
        usual = steps[len(steps) // 2] if steps else 0
        if not steps or expected * _FIELD <= usual < max(most, expected + 1):  # ticks are rounded
            return self
        average = Fraction(ticks[-1] - ticks[0], len(steps)) * tick_seconds
        last = usual * tick_seconds if self.announced < _NO_CAMERA else self.announced
        return FrameRate(announced=self.announced, average=average, last=last)

    def last_ticks(self, own: int | None, *, tick_seconds: Fraction) -> int:
        """How long the last frame is shown: ``own``, by its packet's word, may be absent or repeat a wrong rate."""
        repeats = self.last != self.announced and own == round(self.announced / tick_seconds)
        return int(self.last / tick_seconds) if repeats or not own else own
