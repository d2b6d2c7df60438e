"""The sampled frames of a clip, in order and in bounded memory.

The frame of a moment is the one shown then: the last whose timestamp is not later. :func:`linear` decodes from the
first frame on and is right for everything. :func:`indexed` gives the very same frames of a file that has an index, but
starts from the keyframe before each moment, leaves out frames that no other needs, and decodes none twice. Where it
cannot be sure it raises :class:`Doubt`, and ``linear`` takes over.
"""

from __future__ import annotations

import contextlib
import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from captioner.container import Deadline, open_video, read_packets
from captioner.timeline import LOOKAHEAD, Part, Selection, Timeline, counts_frames, glance, is_cut, measure

Shown = tuple[Fraction, Any]
"""A decoded frame, and when it is shown in seconds from the first."""

_INDEXED = ("mov", "matroska", "avi")
# Codecs whose keyframes start afresh: decoding from one gives what decoding everything gives.
_RESTARTING = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "prores", "dnxhd")
# Of these, the ones that mark the frames on which no other frame, and no other state of the decoder, depends.
_SKIPPABLE = ("h264", "mpeg4", "mpeg1video", "mpeg2video")


class Doubt(Exception):
    """Something about this file is not as ``indexed`` relies on: decode it from the start."""


@dataclass
class Report:
    """What is learnt of a clip while its frames are read."""

    timeline: Timeline | None = None
    pixel_aspect: float = 1.0
    """Width over height of a stored pixel."""
    lost: int = 0
    """Frames or packets that could not be decoded."""

    @property
    def duration_seconds(self) -> float | None:
        return None if self.timeline is None else float(self.timeline.duration) or None


def select(file: Path, selection: Selection, *, stand_ins: bool, deadline: Deadline, report: Report) -> Iterator[Shown]:
    """The selected frames of a checked file, each once.

    With ``stand_ins``, a keyframe that lies in a part may stand in for the frame in the part's middle.
    Raises VideoError, or ConfigError if the selection does not lie in the clip.
    """
    timeline, last = None, Fraction(-1)
    with open_video(file, deadline) as (container, stream):
        report.pixel_aspect = _pixel_aspect(stream)
        if not has_index(container, stream):
            yield from _from_the_start(file, container, stream, None, selection, deadline, report)
            return
        timeline = report.timeline = glance(container, stream, deadline)
        if timeline is not None:
            parts = selection.parts(timeline)
            with contextlib.suppress(Doubt):
                for shown in indexed(container, stream, timeline, parts, stand_ins=stand_ins, deadline=deadline):
                    last = shown[0]
                    yield shown
                return
    with open_video(file, deadline) as (container, stream):
        for shown in _from_the_start(file, container, stream, timeline, selection, deadline, report):
            if shown[0] > last:
                yield shown


def _from_the_start(
    file: Path,
    container: Any,
    stream: Any,
    timeline: Timeline | None,
    selection: Selection,
    deadline: Deadline,
    report: Report,
) -> Iterator[Shown]:
    """``linear`` over a freshly opened file, which is read through once before if its timeline is not known."""
    kept = None
    if timeline is None:
        timeline, kept = measure(container, stream, deadline)
        report.lost += timeline.missing
    if kept is not None:
        yield from linear(kept, stream, timeline, selection, deadline, report)
        return
    with open_video(file, deadline) as (container, stream):
        packets = read_packets(container, stream, deadline)
        yield from linear(packets, stream, timeline, selection, deadline, report)


def _pixel_aspect(stream: Any) -> float:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return float(aspect) if Fraction(1, 8) <= aspect <= 8 else 1.0


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
    moments = [part.middle for part in reversed(selection.parts(timeline))]
    held: Shown | None = None
    for shown in on_screen(itertools.chain([first], frames), timeline):
        passed = False
        while held is not None and moments and moments[-1] < shown[0]:
            moments.pop()
            passed = True
        if passed and held is not None:
            yield held
        if not moments:
            return
        held = shown
    if held is not None:
        yield held


def decoded(packets: Iterable[Any], stream: Any, deadline: Deadline, report: Report) -> Iterator[Any]:
    """Every good frame, in the order shown; counts what could not be decoded."""
    context = stream.codec_context
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
    now: Fraction | None = None
    for frame in frames:
        if timeline.end is not None and frame.pts is not None:
            seconds = timeline.seconds(frame.pts)
            now = seconds if now is None else max(now, seconds)
        else:
            now = Fraction(0) if now is None else now + timeline.frame_seconds
        yield now, frame


def has_index(container: Any, stream: Any) -> bool:
    """Whether ``indexed`` may be tried: an index, a codec that restarts at keyframes, no part of it missing."""
    return (
        container.format.name.split(",")[0] in _INDEXED
        and stream.codec_context.codec.canonical_name in _RESTARTING
        and len(stream.index_entries) > 0
        and not is_cut(stream, container.size)
        and not counts_frames(container, stream)
    )


def indexed(
    container: Any, stream: Any, timeline: Timeline, parts: list[Part], *, stand_ins: bool, deadline: Deadline
) -> Iterator[Shown]:
    """The frames in the middle of ``parts``, reached through the index; raises Doubt, perhaps after some frames."""
    try:
        keyframes = _Keyframes(container, stream, deadline)
        for run in _plan(keyframes, timeline, parts, stand_ins):
            for frame in _decode(keyframes, stream, run):
                yield timeline.seconds(frame.pts), frame
    except av.FFmpegError as error:
        raise Doubt(str(error)) from None


@dataclass(frozen=True)
class _Keyframe:
    """A frame that decoding can start from."""

    stamp: int
    """Its timestamp in the index (MP4: of decoding), which is where to seek to."""
    tick: int
    """When it is shown."""
    shown: bool
    """False: cut away by an edit list."""


@dataclass(frozen=True)
class _Run:
    """What to decode in one go: from a keyframe to the last wanted frame that needs it."""

    key: _Keyframe
    wanted: tuple[int, ...]
    """Ticks of the frames to give, ascending."""


@dataclass
class _Keyframes:
    """The keyframes of an open file, found through its index and checked by reading them."""

    container: Any
    stream: Any
    deadline: Deadline
    _known: dict[int, _Keyframe] = field(default_factory=dict)

    def packets_from(self, key: _Keyframe) -> Iterator[Any]:
        self.container.seek(key.stamp, stream=self.stream)
        return read_packets(self.container, self.stream, self.deadline)

    def before(self, tick: int) -> _Keyframe:
        """The last keyframe that is shown at ``tick`` or earlier."""
        stamp = tick
        while True:
            key = self._at(self.stream.index_entries.search_timestamp(stamp, backward=True))
            if key is None:
                raise Doubt("no keyframe before the moment")
            if key.tick <= tick:
                return key
            stamp = key.stamp - 1

    def after(self, tick: int) -> _Keyframe | None:
        """A keyframe that is shown at ``tick`` or later, usually the first."""
        return self._at(self.stream.index_entries.search_timestamp(tick, backward=False))

    def _at(self, number: int) -> _Keyframe | None:
        if number < 0:
            return None
        if number not in self._known:
            stamp = self.stream.index_entries[number].timestamp
            self.container.seek(stamp, stream=self.stream)
            packet = next(read_packets(self.container, self.stream, self.deadline), None)
            if packet is None or packet.pts is None or not packet.is_keyframe:
                raise Doubt("the index points at no keyframe")
            self._known[number] = _Keyframe(stamp, packet.pts, not packet.is_discard)
        return self._known[number]


def _plan(keyframes: _Keyframes, timeline: Timeline, parts: list[Part], stand_ins: bool) -> list[_Run]:
    """Where to start and which frames to give, by reading packets; nothing is decoded yet."""
    aims: list[tuple[_Keyframe, int]] = []
    for part in parts:
        tick = timeline.tick(part.middle)
        key = keyframes.before(tick)
        if stand_ins:
            for candidate in (key, keyframes.after(tick)):
                if candidate and candidate.shown and part.first <= timeline.seconds(candidate.tick) < part.last:
                    key, tick = candidate, candidate.tick
                    break
        aims.append((key, tick))
    return [
        _Run(key, _last_shown(keyframes, key, [tick for _, tick in group]))
        for key, group in itertools.groupby(aims, key=lambda aim: aim[0])
    ]


def _last_shown(keyframes: _Keyframes, key: _Keyframe, ticks: list[int]) -> tuple[int, ...]:
    """For each of ``ticks`` (ascending) the last frame shown by then, given that ``key`` is; each once."""
    if ticks[-1] == key.tick:
        return (key.tick,)
    best = [key.tick - 1] * len(ticks)
    later = 0
    for packet in keyframes.packets_from(key):
        if packet.is_discard:
            continue
        if packet.pts is None:
            raise Doubt("a packet without a timestamp")
        if packet.pts > ticks[-1]:
            later += 1
            if later == LOOKAHEAD:
                break
            continue
        later = 0
        at = bisect_left(ticks, packet.pts)
        if packet.pts == best[at]:
            raise Doubt("two packets of one timestamp")
        best[at] = max(best[at], packet.pts)
    return tuple(dict.fromkeys(itertools.accumulate(best, max)))


def _decode(keyframes: _Keyframes, stream: Any, run: _Run) -> Iterator[Any]:
    """The wanted frames of a run; raises Doubt if the decoder gives anything unexpected."""
    context = stream.codec_context
    skippable = context.codec.canonical_name in _SKIPPABLE
    unread, due = set(run.wanted), list(reversed(run.wanted))
    started = not run.key.shown
    for packet in keyframes.packets_from(run.key):
        needed = packet.pts in unread
        unread.discard(packet.pts)
        if skippable:
            context.skip_frame = "DEFAULT" if needed else "NONREF"
        frames = context.decode(packet)
        if not unread:  # everything wanted has gone in: have it out now, without reading on
            frames += context.decode(None)
        for frame in frames:
            if frame.pts is None or frame.is_corrupt:
                raise Doubt("a damaged frame")
            if not started and frame.pts >= run.key.tick:
                if frame.pts != run.key.tick or not frame.key_frame:
                    raise Doubt("the keyframe cannot be decoded by itself")
                started = True
            if due and frame.pts >= due[-1]:
                if frame.pts != due.pop():
                    raise Doubt("a wanted frame did not come out")
                yield frame
        if not unread:
            break
    if due:
        raise Doubt("a wanted frame did not come out")
