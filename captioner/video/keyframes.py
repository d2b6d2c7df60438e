"""Samples frames without decoding all of a clip, from the keyframe before each moment.

Gives the very frames that decoding everything would give, but leaves out those that no wanted frame needs and decodes
none twice. Anything unexpected raises :class:`Doubt`, and the caller decodes everything instead.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av

from captioner.video.container import Deadline, read_packets
from captioner.video.decoder import decoder_of
from captioner.video.selection import Aim
from captioner.video.timeline import LOOKAHEAD

# Codecs whose keyframes start afresh: decoding from one gives what decoding everything gives.
_RESTARTING = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "prores", "dnxhd")
# Of these, the marks of frames on which no other frame and no state of the decoder depends.
_SKIPPABLE = ("h264", "mpeg4", "mpeg1video", "mpeg2video")


class Doubt(Exception):
    """This clip breaks an assumption of this module."""


@dataclass(frozen=True)
class Keyframe:
    """A frame that decoding can start from."""

    place: int
    """Where its packets source finds it."""
    tick: int
    """When it is shown."""
    shown: bool
    """False: cut away by an edit list."""


class PacketsInMemory:
    """All packets of a short clip, of any container."""

    def __init__(self, packets: list[Any]) -> None:
        self._packets = packets
        keys = [(i, packet) for i, packet in enumerate(packets) if packet.is_keyframe]
        if any(packet.pts is None for _, packet in keys):
            raise Doubt("a keyframe without a timestamp")
        self._keys = [Keyframe(i, packet.pts, not packet.is_discard) for i, packet in keys]
        self._ticks = [key.tick for key in self._keys]
        if any(a >= b for a, b in itertools.pairwise(self._ticks)):
            raise Doubt("keyframes out of order")

    def keyframe(self, tick: int) -> Keyframe:
        """The last one that is shown at ``tick`` or earlier; raises Doubt without one."""
        number = bisect_right(self._ticks, tick)
        if number == 0:
            raise Doubt("no keyframe before the moment")
        return self._keys[number - 1]

    def read_from(self, key: Keyframe) -> Iterator[Any]:
        """Its packet and all that follow in the file."""
        return itertools.islice(self._packets, key.place, None)


class PacketsOnDisk:
    """The same of an open file that has an index. A keyframe's place is the timestamp to seek to."""

    def __init__(self, container: Any, stream: Any, deadline: Deadline) -> None:
        self._container, self._stream, self._deadline = container, stream, deadline
        self._known: dict[int, Keyframe] = {}

    def keyframe(self, tick: int) -> Keyframe:
        # MP4's index holds times of decoding, so that the last entry before a moment may be shown after it, and FFmpeg
        # itself goes back further where the index says so: only the packet tells which keyframe was reached.
        place = tick
        while True:
            index = self._stream.index_entries
            number = index.search_timestamp(place, backward=True)
            if number < 0:
                raise Doubt("no keyframe before the moment")
            stamp = index[number].timestamp
            key = self._known.get(number)
            if key is None:
                self._container.seek(place, stream=self._stream)
                packet = next(read_packets(self._container, self._stream, self._deadline), None)
                if packet is None or packet.pts is None or not packet.is_keyframe:
                    raise Doubt("the index points at no keyframe")
                key = Keyframe(place, packet.pts, not packet.is_discard)
                if stamp in (packet.dts, packet.pts):
                    self._known[number] = key
            if key.tick <= tick:
                return key
            place = stamp - 1

    def read_from(self, key: Keyframe) -> Iterator[Any]:
        self._container.seek(key.place, stream=self._stream)
        return read_packets(self._container, self._stream, self._deadline)


Packets = PacketsInMemory | PacketsOnDisk
"""The packets of a clip, to be read from any keyframe on."""


@dataclass(frozen=True)
class _Run:
    """What to decode in one go: from a keyframe to the last wanted frame that needs it."""

    key: Keyframe
    wanted: tuple[int, ...]
    """Ticks of the frames to give, ascending."""


def restarts(stream: Any) -> bool:
    """Whether the codec is one that can be decoded from its keyframes."""
    return stream.codec_context.codec.canonical_name in _RESTARTING


def frames_by_keyframe(
    packets: Packets, stream: Any, aims: list[Aim], *, stand_ins: bool, deadline: Deadline
) -> Iterator[Any]:
    """The decoded frames that ``aims`` ask for, each once, in order; raises Doubt, perhaps after some frames.

    With ``stand_ins``, a keyframe that lies in a part may stand in for the frame in the part's middle.
    """
    try:
        for run in _plan(packets, aims, stand_ins):
            yield from _decode(packets, stream, run, deadline)
    except av.FFmpegError as error:
        raise Doubt(str(error)) from None


def _plan(packets: Packets, aims: list[Aim], stand_ins: bool) -> list[_Run]:
    """Where to start and which frames to give, from timestamps alone; nothing is decoded yet."""
    starts: list[tuple[Keyframe, int]] = []
    for aim in aims:
        tick = aim.middle
        key = packets.keyframe(tick)
        if stand_ins:
            for candidate in (key, packets.keyframe(aim.last)):
                if candidate.shown and aim.first <= candidate.tick <= aim.last:
                    key, tick = candidate, candidate.tick
                    break
        starts.append((key, tick))
    runs = []
    for _, group in itertools.groupby(starts, key=lambda start: start[0].tick):
        keys, ticks = zip(*group, strict=True)
        runs.append(_Run(keys[0], _last_shown(packets, keys[0], list(ticks))))
    return runs


def _last_shown(packets: Packets, key: Keyframe, ticks: list[int]) -> tuple[int, ...]:
    """For each of ``ticks`` (ascending) the last frame shown by then, given that ``key`` is one; each once."""
    if ticks[-1] == key.tick:
        after = next(itertools.islice(packets.read_from(key), 1, 2), None)
        if after is not None and after.pts == key.tick and not after.is_discard:
            raise Doubt("two packets of one timestamp")
        return (key.tick,)
    best = [key.tick - 1] * len(ticks)
    later = 0
    for packet in packets.read_from(key):
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


def _decode(packets: Packets, stream: Any, run: _Run, deadline: Deadline) -> Iterator[Any]:
    """The wanted frames of a run; raises Doubt if the decoder gives anything unexpected."""
    context = decoder_of(stream)
    context.flush_buffers()
    skippable = context.codec.canonical_name in _SKIPPABLE
    unread, due = set(run.wanted), list(reversed(run.wanted))
    started = not run.key.shown
    for packet in packets.read_from(run.key):
        deadline.check()
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
