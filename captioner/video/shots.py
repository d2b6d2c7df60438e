"""Detects shot boundaries as frames arrive, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

_ROWS, _COLUMNS = 12, 16
_CORE = _ROWS * _COLUMNS / ((_ROWS - 2) * (_COLUMNS - 2))
"""Pixels for each that lies inside the border, where shifts are tried."""
_FAR_SECONDS = 0.22
"""A change that is undone this soon, before or after, was a flash."""
_NEAR_SECONDS, _NEAR_FRAMES = 0.35, 5
"""How far around a frame its neighbourhood reaches, whichever is less."""
_SLIDE_SECONDS = 1.5
"""The next two frames are near as well, where there are few a second; pictures further apart are slides."""
_REPEATED = 0.5
"""A change smaller than this is a repeated frame, and says nothing of how much the picture moves."""
_HALVES = (0.25, 0.5, 0.8)
"""Half lengths of the dissolves that are looked for, in seconds."""
_STEP_SECONDS = 1 / 17
"""Dissolves are looked for no more often."""


@dataclass(frozen=True, kw_only=True)
class ShotConfig:
    """When a change of picture counts as a new shot (chosen by ``benchmarks/shots.py``)."""

    cut: float = 12.0
    """The least change that can be a hard cut: mean difference a pixel, 0 to 255, summed over luma and two chromas."""
    motion: float = 0.42
    """By how much more movement around it raises that: in proportion to this power of the mean change there."""
    dissolve: float = 3000.0
    """The least ``change * (change / curvature) ** 2.5`` of a dissolve."""
    min_seconds: float = 0.6
    """No shot is shorter: of cuts closer together the strongest counts. Dissolves keep a second apart."""


class ShotDetector:
    """Finds hard cuts and dissolves; ``push`` every frame, then ``finish``.

    A hard cut is a change from one frame to the next that is large for the movement around it (as in PySceneDetect's
    AdaptiveDetector) and not undone at once. Pictures are compared at 16 x 12 pixels at the best of nine shifts, so
    that neither grain nor a moving camera is a change. A dissolve is a slow change whose middle is the mean of its
    ends. A fade from or to black is one.
    """

    def __init__(self, config: ShotConfig | None = None) -> None:
        self._config = config or ShotConfig()
        self._seconds: list[Fraction] = []
        self._times: list[float] = []
        self._pictures: list[np.ndarray] = []
        self._changes: list[float] = []
        self._next = 0  # the first frame not judged yet
        self._looked = -1.0  # when a dissolve was last looked for
        self._shot: tuple[float, bool] | None = None  # when the present shot began, and whether by a dissolve
        self._best: tuple[float, Fraction, bool] | None = None  # strength, beginning, dissolve

    @property
    def settled_seconds(self) -> Fraction:
        """No cut before this moment is still to come."""
        if self._best is not None:
            return self._best[1]
        return self._seconds[self._next] if self._next < len(self._seconds) else Fraction(0)

    def push(self, seconds: Fraction, frame: Any) -> list[Fraction]:
        """The next frame, decoded; returns when each shot begins that it has made certain."""
        return self.push_picture(seconds, thumbnail(frame))

    def push_picture(self, seconds: Fraction, picture: np.ndarray) -> list[Fraction]:
        """The same for a picture as ``thumbnail`` makes it."""
        picture = np.ascontiguousarray(picture, np.float32)
        self._changes.append(_difference(self._pictures[-1], picture) if self._pictures else 0.0)
        self._seconds.append(seconds)
        self._times.append(float(seconds))
        self._pictures.append(picture)
        if self._shot is None:
            self._shot = (float(seconds), False)
        return self._judge(self._times[-1] - _HALVES[-1])

    def finish(self) -> list[Fraction]:
        """The last cuts, once the film is over."""
        found = self._judge(float("inf"))
        if self._best is not None:
            found.append(self._best[1])
            self._best = None
        return found

    def _judge(self, until: float) -> list[Fraction]:
        """Judge the frames up to a moment that has enough of the film after it."""
        found = []
        while self._next < len(self._times) and self._times[self._next] <= until:
            i = self._next
            if self._best is not None and self._times[i] - float(self._best[1]) >= self._apart(self._best[2]):
                found.append(self._best[1])
                self._shot, self._best = (float(self._best[1]), self._best[2]), None
            strength = self._cut(i) if i else 0.0
            if strength >= 1:
                self._propose(strength + 1000, i, dissolve=False)  # a cut outdoes every dissolve
            elif self._times[i] - self._looked >= _STEP_SECONDS:
                self._looked = self._times[i]
                strength = max(self._dissolve(i, half) for half in _HALVES)
                if strength >= 1:
                    self._propose(min(strength, 999.0), i, dissolve=True)
            self._next += 1
        old = bisect_left(self._times, self._times[min(self._next, len(self._times) - 1)] - _HALVES[-1]) - 1
        if old > 64:
            for kept in (self._seconds, self._times, self._pictures, self._changes):
                del kept[:old]
            self._next -= old
        return found

    def _propose(self, strength: float, i: int, *, dissolve: bool) -> None:
        assert self._shot is not None
        begun, by_dissolve = self._shot
        if self._times[i] - begun < self._apart(dissolve and by_dissolve):
            return
        if self._best is None or strength > self._best[0]:
            self._best = (strength, self._seconds[i], dissolve)

    def _apart(self, dissolves: bool) -> float:
        return max(self._config.min_seconds, 1.0 if dissolves else 0.0)

    def _cut(self, i: int) -> float:
        """How strongly frame ``i`` looks like the first of a new shot; 1 and more is a cut."""
        config, change = self._config, self._changes[i]
        if change < config.cut * _REPEATED**config.motion:
            return 0.0
        around = [
            self._changes[j]
            for j in range(max(1, i - _NEAR_FRAMES), min(len(self._times), i + _NEAR_FRAMES + 1))
            if j != i and self._changes[j] > _REPEATED and self._near(i, j)
        ]
        movement = max(_REPEATED, sum(around) / len(around) if around else 0.0)
        needed = config.cut * movement**config.motion
        if change < needed:
            return 0.0
        before, after = self._shown(self._times[i] - _FAR_SECONDS), self._shown(self._times[i] + _FAR_SECONDS)
        lasting = _difference(self._pictures[min(before, i - 1)], self._pictures[max(after, i)])
        return min(change, lasting) / needed

    def _near(self, i: int, j: int) -> bool:
        apart = abs(self._times[j] - self._times[i])
        return apart < _NEAR_SECONDS or (abs(j - i) <= 2 and apart < _SLIDE_SECONDS)

    def _dissolve(self, i: int, half: float) -> float:
        """How strongly frame ``i`` looks like the middle of a dissolve of twice ``half`` seconds."""
        start, end = self._shown(self._times[i] - half), self._shown(self._times[i] + half)
        if end - start < 4 or self._times[i] - half < self._times[0] or self._times[i] + half > self._times[-1]:
            return 0.0
        first, middle, last = self._pictures[start], self._pictures[i], self._pictures[end]
        whole = float(np.abs(first - last).mean())
        curvature = max(0.3, float(np.abs(middle - (first + last) / 2).mean()))
        straight = (whole / curvature) ** 2.5 / self._config.dissolve
        if 3 * whole * _CORE * straight < 1:  # the most that the change can be
            return 0.0
        change = _difference(first, last)
        if change < 6 or max(self._changes[start + 1 : end + 1]) > change / 2:
            return 0.0
        return change * straight

    def _shown(self, seconds: float) -> int:
        """Which frame is on the screen."""
        return max(0, bisect_right(self._times, seconds + 1e-4) - 1)


def thumbnail(frame: Any) -> np.ndarray:
    """A decoded frame as a tiny picture: (3, 12, 16) uint8, luma and two chromas, 0 to 255."""
    small = frame.reformat(width=_COLUMNS, height=_ROWS, format="yuv444p", interpolation="AREA", threads=1)
    return small.to_ndarray().reshape(3, _ROWS, _COLUMNS)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference, summed over the planes, at the best shift by up to a pixel each way."""
    steps = b.strides
    shape = (3, 3, 3, _ROWS - 2, _COLUMNS - 2)  # plane, shift down, shift right, rows, columns
    shifted = np.ndarray(shape, b.dtype, b, strides=(*steps, *steps[1:]))  # a view, as sliding_window_view makes it
    apart = np.abs(shifted - a[:, None, None, 1:-1, 1:-1])
    return float(apart.reshape(3, 9, -1).mean(axis=2).sum(axis=0).min())
