"""Which frames of a clip are looked at, and how they are reached: by timestamp, in bounded memory.

Target ``i`` of ``n`` is the middle of the i-th of ``n`` equal parts of the clip; its frame is the one shown at that
moment, the last whose timestamp is not later. Times are exact fractions of a second from the first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from captioner.container import Deadline
from captioner.errors import ConfigError


@dataclass(frozen=True)
class Timeline:
    """Where the video of a file begins (in its own clock) and how long it lasts, in seconds."""

    origin: Fraction | None
    """Timestamp of the first frame; None: frames carry none and are counted at a steady rate."""
    duration: Fraction
    """From the first frame to the end of the last; 0 if the file does not tell."""
    frame: Fraction
    """How long one frame lasts, on average."""


@dataclass
class Losses:
    """What could not be decoded so far."""

    lost: int = 0


def measure(container: Any, stream: Any, deadline: Deadline) -> Timeline:
    """The timeline of a freshly opened file, by reading all its packets once (nothing is decoded)."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    base = stream.time_base
    first = last = None
    count, timed = 0, True
    try:
        for packet in container.demux(stream):
            deadline.check()
            if not packet.size or packet.is_discard:
                continue
            count += 1
            if packet.pts is None:
                timed = False
                continue
            first = packet.pts if first is None else min(first, packet.pts)
            end = packet.pts + (packet.duration or int(1 / rate / base))
            last = end if last is None else max(last, end)
    except av.FFmpegError as error:
        if isinstance(error, av.error.ExitError):
            raise deadline.error() from None
    frame = 1 / rate
    if timed and first is not None and last is not None:
        return Timeline(first * base, (last - first) * base, frame)
    return Timeline(None, count * frame, frame)


def target_times(timeline: Timeline, *, count: int, start: float | None, end: float | None) -> list[Fraction]:
    """The ``count`` moments to look at, ascending; raises ConfigError if start..end is not a part of the clip."""
    first = Fraction(0) if start is None else _seconds(start, "start")
    last = timeline.duration if end is None else min(_seconds(end, "end"), timeline.duration)
    if start is not None and timeline.duration and first >= timeline.duration:
        length = f"{float(timeline.duration):.2f} seconds long"
        raise ConfigError(f"start_seconds is {start}, but the clip is only {length}; choose an earlier start")
    if end is not None and start is not None and end <= start:
        raise ConfigError(f"end_seconds is {end}; it must be after start_seconds ({start})")
    return [first + (last - first) * Fraction(2 * i + 1, 2 * count) for i in range(count)]


def _seconds(value: float, name: str) -> Fraction:
    if not 0 <= value < float("inf"):
        raise ConfigError(f"{name}_seconds is {value}; it must be a time from the clip's start, 0 or more")
    return Fraction(value)


def linear(
    container: Any, stream: Any, timeline: Timeline, targets: list[Fraction], losses: Losses, deadline: Deadline
) -> Iterator[tuple[Fraction, Any]]:
    """``(seconds, frame)`` of each distinct sampled frame, by decoding from the first frame to the last target."""
    clock = _Clock(timeline)
    held: tuple[Fraction, Any] | None = None
    waiting = list(reversed(targets))
    for frame in decoded(container, stream, losses, deadline):
        seconds = clock.read(frame, stream.time_base)
        wanted = False
        while waiting and held is not None and waiting[-1] < seconds:
            waiting.pop()
            wanted = True
        if wanted and held is not None:
            yield held
            if not waiting:
                return
        held = seconds, frame
    if held is not None and waiting:
        yield held


@dataclass
class _Clock:
    """Seconds since the first frame; never runs backwards, counts frames where they carry no time."""

    timeline: Timeline
    now: Fraction | None = field(default=None)

    def read(self, frame: Any, base: Fraction) -> Fraction:
        stamp = None if self.timeline.origin is None else frame.pts
        if stamp is not None and self.timeline.origin is not None:
            seconds = stamp * base - self.timeline.origin
            self.now = seconds if self.now is None else max(self.now, seconds)
        else:
            self.now = Fraction(0) if self.now is None else self.now + self.timeline.frame
        return self.now


def decoded(container: Any, stream: Any, losses: Losses, deadline: Deadline) -> Iterator[Any]:
    """Every good frame in the order shown; counts in ``losses`` what could not be decoded."""
    packets = container.demux(stream)
    while True:
        deadline.check()
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.ExitError:
            raise deadline.error() from None
        except av.error.EOFError:
            return
        except av.FFmpegError:
            losses.lost += 1
            continue
        for frame in frames:
            if frame.is_corrupt:
                losses.lost += 1
            else:
                yield frame
