"""Chooses the moments to sample: the middles of equal parts, in the ticks of the clip's timeline."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from captioner.errors import ConfigError
from captioner.video.timeline import Timeline


class Aim(NamedTuple):
    """One of the equal parts of a clip, in ticks; each part gives a frame."""

    first: int
    """The first tick that lies in the part."""
    middle: int
    """The last tick that is not after the part's middle: the frame wanted is the last one shown by then."""
    last: int
    """The last tick that lies in the part."""


def aims_between(timeline: Timeline, first_seconds: Fraction, last_seconds: Fraction, *, count: int) -> list[Aim]:
    """``count`` equal parts, in order, by integers alone: fractions would take longer than a short clip's decoding."""
    first, last = first_seconds / timeline.unit_seconds, last_seconds / timeline.unit_seconds
    origin = timeline.origin or 0
    a, b = first.numerator * last.denominator, last.numerator * first.denominator
    whole = first.denominator * last.denominator * count
    edges = [a * (count - i) + b * i for i in range(count + 1)]  # in ticks, times whole
    return [
        Aim(
            first=origin - (-left // whole),
            middle=origin + (left + right) // (2 * whole),
            last=origin - (-right // whole) - 1,
        )
        for left, right in itertools.pairwise(edges)
    ]


@dataclass(frozen=True)
class Selection:
    """What of a clip to look at: ``count`` equal parts of start .. end; None is the clip's own start or end."""

    count: int
    start_seconds: float | None = None
    end_seconds: float | None = None
    lead: Fraction = Fraction(0)
    """Seconds from the start of the file, where start and end count from, to the clip's first frame."""

    def aims(self, timeline: Timeline) -> list[Aim]:
        """The parts in ticks, in order; raises ConfigError as ``bounds`` does."""
        return aims_between(timeline, *self.bounds(timeline), count=self.count)

    def bounds(self, timeline: Timeline) -> tuple[Fraction, Fraction]:
        """Where the parts begin and end, in seconds from the clip's first frame.

        Raises ConfigError unless 0 <= start < end and start lies in the clip; a later end means the clip's own.
        """
        start, end, duration, lead = self.start_seconds, self.end_seconds, timeline.duration, self.lead
        first = Fraction(0) if start is None else max(Fraction(0), _moment("start_seconds", start) - lead)
        last = duration if end is None else _moment("end_seconds", end) - lead
        if end is not None and end <= (start or 0):
            raise ConfigError(f"end_seconds is {end}; it must be greater than start_seconds, which is {start or 0}")
        if end is not None and last <= 0:
            raise ConfigError(f"end_seconds is {end}, but the video begins only at {float(lead):.3f}; end later")
        if duration:
            last = min(last, duration)
            if first >= duration:
                raise ConfigError(
                    f"start_seconds is {start}, but the clip lasts {float(lead + duration):.3f}; start earlier"
                )
        return first, last


def _moment(name: str, value: float) -> Fraction:
    if not 0 <= value < float("inf"):
        raise ConfigError(f"{name} is {value}; it must be 0 or more, in seconds from the start of the file")
    return Fraction(value)
