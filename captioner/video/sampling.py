"""Yields the sampled frames of a clip in order, in bounded memory.

The frame of a moment is the one shown then: the last whose timestamp is not later. :func:`linear` decodes from the
first frame and suits every file. ``keyframes.py`` gives the same frames faster, or raises ``Doubt``.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from captioner.errors import counted
from captioner.video.container import Deadline, open_video, read_packets
from captioner.video.decoder import decoder_of
from captioner.video.keyframes import Doubt, Packets, PacketsInMemory, PacketsOnDisk, frames_by_keyframe, restarts
from captioner.video.layout import Layout
from captioner.video.rate import RECENT, FrameRate
from captioner.video.selection import Selection
from captioner.video.timeline import Timeline, glance, has_index, is_short, lead_seconds, measure

Shown = tuple[Fraction, Any]
"""When a frame is shown, in seconds from the first, and the decoded frame."""


@dataclass
class Report:
    """What is learnt of a clip while its frames are read."""

    timeline: Timeline | None = None
    layout: Layout = field(default_factory=Layout)
    """Of the stored pictures."""
    lost: int = 0
    """Frames or packets that could not be decoded."""
    joins: int = 0
    """How often the clock jumped in what was read."""
    lead: Fraction = Fraction(0)
    """Seconds from the start of the file to its first frame."""

    def start(self, timeline: Timeline) -> None:
        """Begin anew with what the packets tell."""
        self.timeline, self.lost, self.joins = timeline, timeline.missing, timeline.joins

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of the clip once it was read."""
        said = []
        if self.lost:
            said.append(f"{counted(self.lost, 'damaged frame')} left out")
        if self.joins:
            said.append(f"{self.joins + 1} recordings joined, each with its own clock: they follow each other here")
        return tuple(said)

    @property
    def duration_seconds(self) -> float | None:
        """From the start of the file to the end of the last frame."""
        duration = self.timeline.duration if self.timeline else 0
        return float(self.lead + duration) if duration else None


def select(file: Path, selection: Selection, *, stand_ins: bool, deadline: Deadline, report: Report) -> Iterator[Shown]:
    """The selected frames of a checked file, each once, with their seconds from the first (``report.lead`` not added).

    With ``stand_ins``, a keyframe that lies in a part may stand in for the frame in the part's middle.
    Raises VideoError, or ConfigError if the selection does not lie in the clip.
    """
    timeline, last = None, None
    with open_video(file, deadline) as (container, stream):
        report.layout, report.lead = Layout.of(stream), lead_seconds(container, stream)
        selection = replace(selection, lead=report.lead)
        if is_short(container) or not has_index(container, stream):
            timeline, kept = measure(container, stream, deadline)
        else:
            timeline, kept = glance(container, stream, deadline), None
        if timeline is not None:
            report.start(timeline)
            try:
                packets = _restartable(container, stream, timeline, kept, deadline)
                if packets is not None:
                    aims = selection.aims(timeline)
                    for frame in frames_by_keyframe(packets, stream, aims, stand_ins=stand_ins, deadline=deadline):
                        last = timeline.seconds(frame.pts)
                        yield last, frame
                    return
            except Doubt:
                kept = None  # the decoder has been used: start afresh
            if kept is not None:
                yield from linear(kept, stream, timeline, selection, deadline, report)
                return
    if timeline is None:
        with open_video(file, deadline) as (container, stream):
            timeline, _ = measure(container, stream, deadline)
            report.start(timeline)
    with open_video(file, deadline) as (container, stream):
        packets_read = read_packets(container, stream, deadline)
        for shown in linear(packets_read, stream, timeline, selection, deadline, report):
            if last is None or shown[0] > last:
                yield shown


def _restartable(
    container: Any, stream: Any, timeline: Timeline, kept: list[Any] | None, deadline: Deadline
) -> Packets | None:
    """The clip's packets, to be read from any keyframe on, or None if it has to be decoded from the start."""
    if timeline.origin is None or timeline.stamps or timeline.missing or not restarts(stream):
        return None
    if kept is not None:
        return PacketsInMemory(kept)
    return PacketsOnDisk(container, stream, deadline) if has_index(container, stream) else None


def linear(
    packets: Iterable[Any],
    stream: Any,
    timeline: Timeline,
    selection: Selection,
    deadline: Deadline,
    report: Report,
) -> Iterator[Shown]:
    """The selected frames by decoding all packets up to the last frame wanted."""
    frames = decoded(packets, stream, deadline, report)
    first = next(frames, None)
    if first is None:
        return
    report.timeline = timeline = timeline.starting_at(first.pts)
    moments = [aim.middle for aim in reversed(selection.aims(timeline))]
    held: tuple[int, Any] | None = None
    for tick, frame in _on_ticks(itertools.chain([first], frames), timeline):
        passed = False
        while held is not None and moments and moments[-1] < tick:
            moments.pop()
            passed = True
        if passed and held is not None:
            yield timeline.seconds(held[0]), held[1]
        if not moments:
            return
        held = tick, frame
    if held is not None:
        yield timeline.seconds(held[0]), held[1]


def decoded(packets: Iterable[Any], stream: Any, deadline: Deadline, report: Report) -> Iterator[Any]:
    """Every good frame, in the order shown; counts what could not be decoded."""
    context = decoder_of(stream)
    for packet in itertools.chain(_unbroken(packets), [None]):
        deadline.check()
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            report.lost += 1
            continue
        for frame in frames:
            if frame.is_corrupt:
                report.lost += 1
            else:
                yield frame


def _unbroken(packets: Iterable[Any]) -> Iterator[Any]:
    """The packets up to the place where the file cannot be read on."""
    with contextlib.suppress(av.FFmpegError):
        yield from packets


def on_screen(frames: Iterable[Any], timeline: Timeline) -> Iterator[Shown]:
    """Each frame with its time; time never runs backwards, and goes on steadily where frames carry none."""
    for tick, frame in _on_ticks(frames, timeline):
        yield timeline.seconds(tick), frame


def _on_ticks(frames: Iterable[Any], timeline: Timeline) -> Iterator[tuple[int, Any]]:
    """The same in ticks."""
    if timeline.counted:
        yield from enumerate(frames)
        return
    if timeline.stamps:
        yield from zip(timeline.stamps, frames, strict=False)  # fewer frames where some are damaged
        return
    rate = FrameRate.announcing(timeline.frame_seconds)
    recent: deque[int] = deque(maxlen=RECENT)
    now: int | None = None
    for frame in frames:
        tick = frame.pts
        if tick is not None:
            recent.append(tick)
            now = tick if now is None else max(now, tick)
        elif now is None:
            now = timeline.origin or 0
        else:
            step = rate.check(recent, tick_seconds=timeline.tick_seconds).last
            now += max(1, round(step / timeline.tick_seconds))
        yield now, frame
