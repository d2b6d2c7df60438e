"""Where one shot of a film ends and the next begins, found as the frames come by, in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

_WIDTH, _HEIGHT = 64, 48


@dataclass(frozen=True, kw_only=True)
class ShotConfig:
    """When a change of picture counts as a new shot."""

    ratio: float = 3.0
    """How many times the changes around it a cut must be."""
    floor: float = 8.0
    """The least change that can be a cut, mean over the picture, 0 to 255."""
    min_seconds: float = 0.6
    """No shot is shorter; of two cuts closer together the first counts."""


class ShotDetector:
    """Finds hard cuts: frames that differ from the one before far more than their neighbours do.

    After PySceneDetect's AdaptiveDetector.
    """

    WINDOW = 2

    def __init__(self, config: ShotConfig = ShotConfig()) -> None:
        self._config = config
        self._last: np.ndarray | None = None
        self._changes: deque[tuple[Fraction, float]] = deque(maxlen=2 * self.WINDOW + 1)
        self._shot = Fraction(0)
        self._started = False

    @property
    def settled_seconds(self) -> Fraction:
        """No cut before this moment is still to come."""
        return self._changes[max(0, len(self._changes) - self.WINDOW)][0] if self._changes else Fraction(0)

    def push(self, seconds: Fraction, frame: Any) -> list[Fraction]:
        """The next frame; returns when each new shot begins that it has made certain."""
        small = thumbnail(frame)
        change = 0.0 if self._last is None else float(np.abs(small - self._last).mean())
        self._last = small
        if not self._started:
            self._shot, self._started = seconds, True
        self._changes.append((seconds, change))
        if len(self._changes) < 2 * self.WINDOW + 1:
            return []
        when, change = self._changes[self.WINDOW]
        around = [c for i, (_, c) in enumerate(self._changes) if i != self.WINDOW]
        config = self._config
        if change < config.floor or change < config.ratio * (sum(around) / len(around)):
            return []
        if when - self._shot < config.min_seconds:
            return []
        self._shot = when
        return [when]

    def finish(self) -> list[Fraction]:
        """The last cuts, once the film is over."""
        return []


def thumbnail(frame: Any) -> np.ndarray:
    """A decoded frame as a small picture: (72, 64) float32, the luma above the two chroma planes, 0 to 255."""
    small = frame.reformat(width=_WIDTH, height=_HEIGHT, format="yuv420p", interpolation="AREA", threads=1)
    return small.to_ndarray().astype(np.float32)
