"""Reads a video once from start to end, without an index."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from captioner.errors import ConfigError
from captioner.video.container import Deadline, is_still, open_video, read_packets
from captioner.video.joined import joins
from captioner.video.keyframes import Doubt, PacketsOnDisk, restarts
from captioner.video.layout import Layout
from captioner.video.rate import RECENT, FrameRate
from captioner.video.sampling import Report, Shown, decoded, on_screen
from captioner.video.selection import Selection
from captioner.video.timeline import Timeline, first_clock, glance, has_index, in_file_order, lead_seconds, measure

_ALIVE_SECONDS = 10
"""Film read since the last sign of life that counts as one."""


class Film:
    """A checked file, its part start .. end, and what is known of it; opened anew for each reading.

    Raises VideoError, or ConfigError for a start or end that cannot be.
    """

    def __init__(self, file: Path, selection: Selection, deadline: Deadline) -> None:
        self.file, self.deadline = file, deadline
        self.report = Report()
        self.timeline: Timeline | None = None
        """Known if the file has an index, its first and last packets bear it out, and its keyframes can be decoded
        by themselves."""
        with open_video(file, deadline) as (container, stream):
            self.is_still = is_still(container)
            self.layout, self.lead = Layout.of(stream), lead_seconds(container, stream)
            self._clock, self._rate = first_clock(stream), FrameRate.of(stream)
            if in_file_order(container, stream):
                self._clock, _ = measure(container, stream, deadline)
            self._announced = stream.duration * stream.time_base if stream.duration else None
            if has_index(container, stream) and restarts(stream):
                timeline = glance(container, stream, deadline)
                if timeline is not None and timeline.origin is not None:
                    self.timeline = timeline
        self.start, last = replace(selection, lead=self.lead).bounds(self.timeline or self._clock)
        self.end = last if self.timeline or selection.end_seconds is not None else None
        """None: where the file ends."""
        self.over = self.start
        """When the last frame read so far ends, as far as can be told."""

    @property
    def duration_seconds(self) -> float | None:
        """From the start of the file to the end of its video, as the file has it; None if it does not say."""
        duration = self.timeline.duration if self.timeline else None if self.report.joins else self._announced
        return float(self.lead + duration) if duration else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said once all has been read: that the file breaks off, or that its clock jumps."""
        announced, end = self._announced, self.end
        if self.report.joins:  # what the file announces is the difference of two clocks
            return self.report.warnings[-1:]
        if self.timeline or announced is None:
            return ()
        missed = min(announced, announced if end is None else end) - self.over
        if missed <= max(1, 2 * self._clock.frame_seconds):
            return ()
        return (f"the video breaks off after {float(self.over):.1f} of {float(announced):.1f} seconds",)

    def read(self, start: Fraction, *, seek: bool = True) -> Iterator[Shown]:
        """Every frame from the one on the screen at ``start`` to the last before the end, each once.

        Without ``seek`` everything before ``start`` is decoded too.
        """
        if self.timeline is not None and seek and start:
            with open_video(self.file, self.deadline) as (container, stream):
                packets = PacketsOnDisk(container, stream, self.deadline)
                key = None
                with contextlib.suppress(Doubt):
                    key = packets.keyframe(self.timeline.tick(start))
                if key is not None:
                    first_tick = key.tick
                    frames = decoded(packets.read_from(key), stream, self.deadline, self.report)
                    whole = (f for f in frames if f.pts is None or f.pts >= first_tick)
                    yield from self._between(start, on_screen(whole, self.timeline))
                    return
        with open_video(self.file, self.deadline) as (container, stream):
            all_packets = self._noting_joins(read_packets(container, stream, self.deadline))
            frames = decoded(all_packets, stream, self.deadline, self.report)
            first = next(frames, None)
            if first is not None:
                clock = self._clock.starting_at(first.pts)
                yield from self._between(start, on_screen(itertools.chain([first], frames), clock))

    def _noting_joins(self, packets: Iterator[Any]) -> Iterator[Any]:
        self.report.joins = 0
        for packet in packets:
            self.report.joins += joins(packet)
            yield packet

    def _between(self, start: Fraction, frames: Iterator[Shown]) -> Iterator[Shown]:
        held: Shown | None = None
        alive = Fraction(0)
        recent: deque[int] = deque(maxlen=RECENT)
        for shown in frames:
            seconds, frame = shown
            if seconds >= alive + _ALIVE_SECONDS:
                self.deadline.renew()
                alive = seconds
            if self.end is not None and seconds >= self.end:
                self.over = self.end
                break
            if held is not None and seconds > start:
                yield held
            held = shown
            self.over = seconds + (frame.duration * self._clock.tick_seconds or self._clock.frame_seconds)
            if frame.pts is not None:
                recent.append(frame.pts)
        else:
            if self._clock.stamps:  # a frame's own duration means as little as its timestamp
                self.over = self._clock.duration
            elif held is not None:
                self.over = held[0] + self._last_seconds(held[1], recent)
        if self.end is not None:
            self.over = min(self.over, self.end)
        if held is None:
            return
        if self.over > start:
            yield held
        elif start == self.start:
            raise ConfigError(
                f"start_seconds is {float(start)}, but the clip lasts {float(self.over):.3f}; start earlier"
            )

    def _last_seconds(self, frame: Any, recent: Sequence[int]) -> Fraction:
        """How long the last frame of the file is shown; ``recent``: the timestamps of the last frames."""
        tick_seconds = self._clock.tick_seconds
        rate = self._rate.check(recent, tick_seconds=tick_seconds)
        if rate.last == rate.announced:
            return frame.duration * tick_seconds or rate.announced
        return rate.last_ticks(frame.duration, tick_seconds=tick_seconds) * tick_seconds
