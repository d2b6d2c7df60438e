"""From error maps to one score a moment, to a threshold for a rate of false alarms, to events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captioner.config import require

PLACE_SMOOTHING, SCORE_SMOOTHING = 0.7, 0.5
"""How much of the past stays in the map and in the score at a picture."""
BLOCK_SECONDS = 5.0
"""Alarms this close are one: the tail is of the peaks of such blocks."""
_TAIL, _LEAST, _LARGEST = 0.1, 10, 0.25
"""The share of blocks that the tail is fitted to; more, up to the last, where these would be less than ten."""
GAP_SECONDS = 1.0
"""Events closer together are one."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Moment:
    """How abnormal footage is at a moment."""

    seconds: float
    score: float
    where: tuple[float, ...]
    """The share of each of 3 x 3 places in it, row by row."""


class Smoother:
    """Scores maps (h, w) one by one, smoothed over time.

    For pixels the largest smoothed place counts, since anomalies are small. For the CNN's features, which describe the
    whole frame, the mean counts.
    """

    def __init__(self, see: str) -> None:
        self._see = see
        self._map: Floats | None = None
        self._score = 0.0

    def push(self, seconds: float, surprise: Floats) -> Moment:
        """The next map."""
        if self._map is None:
            self._map = np.zeros_like(surprise)
        self._map = PLACE_SMOOTHING * self._map + (1 - PLACE_SMOOTHING) * surprise
        now = float(self._map.max() if self._see == "pixels" else self._map.mean())
        self._score = SCORE_SMOOTHING * self._score + (1 - SCORE_SMOOTHING) * now
        return Moment(seconds, self._score, _shares(self._map))


def _shares(surprise: Floats) -> tuple[float, ...]:
    """The peak of each of 3 x 3 places, above what is usual, as shares of their sum."""
    thirds = [np.array_split(row, 3, axis=1) for row in np.array_split(surprise, 3, axis=0)]
    peaks = np.array([max(0.0, float(part.max()) - 1.0) ** 2 for row in thirds for part in row])
    total = peaks.sum()
    return tuple((peaks / total if total else np.full(9, 1 / 9)).round(4).tolist())


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The peaks of normal footage: above ``above`` they fall off exponentially (a generalised Pareto tail of shape 0;
    Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, chapter 4).
    """

    above: float
    scale: float
    """The mean by which a peak exceeds that."""
    count: int
    """How many peaks did."""
    seconds: float
    """Of the footage that it was fitted to."""

    @classmethod
    def fit(cls, peaks: Floats) -> Tail:
        """To the peaks of blocks of :data:`BLOCK_SECONDS` each."""
        share = min(max(_TAIL, _LEAST / len(peaks)), _LARGEST)
        count = max(1, round(share * len(peaks)))
        ordered = np.sort(peaks)[::-1]
        above = float(ordered[count])
        scale = float((ordered[:count] - above).mean())
        return cls(above=above, scale=max(scale, 1e-6), count=count, seconds=BLOCK_SECONDS * len(peaks))

    @property
    def per_hour(self) -> float:
        """How often normal footage exceeds ``above``."""
        return 3600 * self.count / self.seconds

    def threshold(self, alarms_per_hour: float) -> float:
        """The score that normal footage is expected to exceed so often. Raises ConfigError.

        The scale is an estimate from ``count`` peaks. So further peaks follow not an exponential but a Lomax tail,
        ``(1 + x / (count * scale)) ** -count``. Fewer peaks give a higher threshold.
        """
        require(
            0 < alarms_per_hour <= self.per_hour,
            f"alarms per hour is {alarms_per_hour}; it must be above 0, at most {self.per_hour:.0f}",
        )
        rarer = self.per_hour / alarms_per_hour
        return self.above + self.scale * self.count * math.expm1(math.log(rarer) / self.count)


@dataclass(frozen=True, kw_only=True)
class Event:
    """A span in which the score is above the threshold."""

    start_seconds: float
    end_seconds: float
    peak_seconds: float
    strength: float
    """The peak over the threshold."""
    where: tuple[float, ...]
    """The share of each of 3 x 3 places at the peak, row by row."""

    @property
    def place(self) -> str:
        """The place with the largest share, in words."""
        largest = max(range(9), key=lambda i: self.where[i])
        row, column = ("top", "middle", "bottom")[largest // 3], ("left", "centre", "right")[largest % 3]
        return "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"


def find_events(moments: Iterable[Moment], *, threshold: float, step_seconds: float) -> Iterator[Event]:
    """The events of moments in order, each as soon as it is over; a moment lasts ``step_seconds``."""
    start = end = 0.0
    peak: Moment | None = None

    def event(peak: Moment) -> Event:
        return Event(
            start_seconds=start,
            end_seconds=end,
            peak_seconds=peak.seconds,
            strength=peak.score / threshold,
            where=peak.where,
        )

    for moment in moments:
        if peak is not None and moment.seconds - end >= GAP_SECONDS - 1e-6:
            yield event(peak)
            peak = None
        if moment.score > threshold:
            if peak is None:
                start = moment.seconds
            if peak is None or moment.score > peak.score:
                peak = moment
            end = moment.seconds + step_seconds
    if peak is not None:
        yield event(peak)
