"""Builds a clip's timeline from its packets, without decoding.

A *tick* is a timestamp in the stream's own unit, ``stream.time_base`` seconds, as packets and frames carry it.
Moments are exact fractions of a second from the clip's first frame.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from captioner.video.container import Deadline, is_still, read_packets
from captioner.video.joined import joins
from captioner.video.rate import FrameRate

LOOKAHEAD = 32
"""Packets by which a frame's place in the file may differ from its place on the screen (H.264 reorders up to 16
frames, each of one or two packets)."""

_LEAST_LEAD, _LONGEST_LEAD = Fraction(1, 10), Fraction(6 * 3600)  # seconds

_SHORT_BYTES = 8 << 20
_KEPT_BYTES = 32 << 20  # of packets: without an index, keeping them is what saves decoding from the start
_PACKET_BYTES = 512  # what a packet takes beside its data


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Where the video of a file begins in its own clock, and where it ends."""

    tick_seconds: Fraction
    frame_seconds: Fraction
    """The average distance of two frames; the clock where frames carry no timestamps."""
    origin: int | None
    """Tick of the first frame; None: only the decoder can tell."""
    end: int | None
    """Tick at which the last frame ends; None: no timestamps, frames are counted instead."""
    packets: int = 0
    """How many there are, where all were read."""
    missing: int = 0
    """Frames that the file announces but does not hold."""
    joins: int = 0
    """How often the clock jumps, where all packets were read: recordings put one after the other."""
    stamps: Sequence[int] | None = None
    """The tick of each frame in the order shown, where frames and packets tell wrong ones."""

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last; 0 where the file does not tell."""
        if self.end is None:
            return self.packets * self.frame_seconds
        return max(Fraction(0), (self.end - (self.origin or 0)) * self.tick_seconds)

    @property
    def counted(self) -> bool:
        """Whether timestamps are missing or mean nothing: a tick is then the number of a frame."""
        return self.end is None

    @property
    def unit_seconds(self) -> Fraction:
        """How long a tick lasts."""
        return self.frame_seconds if self.counted else self.tick_seconds

    def starting_at(self, tick: int | None) -> Timeline:
        """The same, with the origin that the decoder found."""
        if tick is None or self.origin is not None or self.counted:
            return self
        return dataclasses.replace(self, origin=tick)

    def seconds(self, tick: int) -> Fraction:
        """When the frame at ``tick`` is shown."""
        return (tick - (self.origin or 0)) * self.unit_seconds

    def tick(self, seconds: Fraction) -> int:
        """The last tick that is not after the moment ``seconds``."""
        return (self.origin or 0) + seconds // self.unit_seconds


def first_clock(stream: Any) -> Timeline:
    """The stream's units, before anything of its beginning and end is known."""
    return Timeline(tick_seconds=stream.time_base, frame_seconds=FrameRate.of(stream).announced, origin=None, end=0)


def measure(container: Any, stream: Any, deadline: Deadline) -> tuple[Timeline, list[Any] | None]:
    """The timeline of a freshly opened file, by reading all its packets, and those packets if they are few.

    More than 32 MB of them are not kept (None): memory does not grow with the clip.
    """
    extent = _Extent(stream)
    if is_still(container):
        return extent.timeline(), list(itertools.islice(read_packets(container, stream, deadline), 1))
    kept: list[Any] | None = []
    size, broken = 0, False
    try:
        for packet in read_packets(container, stream, deadline):
            extent.add(packet)
            size += packet.size + _PACKET_BYTES
            if size > _KEPT_BYTES:
                kept = None
            elif kept is not None:
                kept.append(packet)
    except av.FFmpegError:
        broken = True
    timeline = extent.timeline()
    if in_file_order(container, stream):
        timeline = _stamped(timeline, extent.decoded, stream, cut=broken or _is_cut(container, stream))
    timeline = dataclasses.replace(timeline, packets=extent.count, joins=extent.joins)
    return dataclasses.replace(timeline, missing=_missing(container, stream, timeline, broken)), kept


def _missing(container: Any, stream: Any, timeline: Timeline, broken: bool) -> int:
    """How many frames a file announces and does not hold, all its packets having been read."""
    announced = stream.frames or round(_announced_seconds(stream) / timeline.frame_seconds)
    if timeline.stamps:  # the file counts the steps between its frames as well
        announced = round(timeline.packets * _announced_seconds(stream) / timeline.duration)
    short = announced > timeline.packets and _is_cut(container, stream)
    return max(int(broken), announced - timeline.packets) if broken or short else 0


def _announced_seconds(stream: Any) -> Fraction:
    """How long the video lasts by the file's own word, 0 if it does not say."""
    if stream.duration:
        return stream.duration * stream.time_base
    stamp = re.fullmatch(r"(\d{2,5}):(\d\d):(\d\d(?:\.\d{1,9})?)", stream.metadata.get("DURATION", ""))  # Matroska's
    return 3600 * int(stamp[1]) + 60 * int(stamp[2]) + Fraction(stamp[3]) if stamp else Fraction(0)


def in_file_order(container: Any, stream: Any) -> bool:
    """Whether timestamps are those of decoding: AVI stores the order of frames in the file, not when they are shown."""
    return container.format.name == "avi" and bool(stream.codec_context.has_b_frames)


def _stamped(timeline: Timeline, decoded: Sequence[int], stream: Any, *, cut: bool) -> Timeline:
    """The timeline of a file whose packets tell when they are decoded: its frames are shown at the same moments, in
    another order. Frames are counted where the packets do not tell even that.
    """
    gaps = [b - a for a, b in itertools.pairwise(decoded)]
    if not gaps or min(gaps) <= 0:
        return dataclasses.replace(timeline, origin=None, end=None)
    span = decoded[-1] - decoded[0] + sorted(gaps)[len(gaps) // 2]
    announced = 0 if cut else stream.duration or 0
    return dataclasses.replace(timeline, origin=decoded[0], end=decoded[0] + max(span, announced), stamps=decoded)


def lead_seconds(container: Any, stream: Any) -> Fraction:
    """How long after the start of the file its video begins: a recording may begin with sound alone.

    Players, and so subtitles, count from the start of the file. 0 where the difference cannot be seen, and where the
    file's clocks make no sense.
    """
    if container.start_time is None or stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    lead = stream.start_time * stream.time_base - Fraction(container.start_time, av.time_base)
    return lead if _LEAST_LEAD <= lead <= _LONGEST_LEAD else Fraction(0)


def is_short(container: Any) -> bool:
    """Whether reading all packets takes no longer than looking for the first and the last ones."""
    return container.size <= _SHORT_BYTES


def has_index(container: Any, stream: Any) -> bool:
    """Whether ``glance`` may be tried: a container with a whole index of the times and places of its keyframes."""
    return (
        container.format.name.split(",")[0] in ("mov", "matroska", "avi")
        and len(stream.index_entries) > 0
        and not _is_cut(container, stream)
        and not in_file_order(container, stream)
    )


def _is_cut(container: Any, stream: Any) -> bool:
    """Whether the index names data beyond the end of the file, or the header a larger file."""
    index = stream.index_entries
    last = index[len(index) - 1] if len(index) else None
    if last is not None and last.pos + last.size > container.size:
        return True
    return container.format.name.split(",")[0] in ("avi", "matroska") and _size_in_header(container) > container.size


def _size_in_header(container: Any) -> int:
    """How large an AVI or Matroska file says it is, in bytes; 0 if it does not."""
    try:
        with Path(container.name.removeprefix("file:")).open("rb") as file:
            head = file.read(128)
    except OSError:
        return 0
    if head.startswith(b"RIFF"):
        return 8 + int.from_bytes(head[4:8], "little")
    at = head.find(b"\x18\x53\x80\x67") + 4  # the segment: its size follows, as many bytes as the first has zeros
    if at < 4 or at >= len(head) or not head[at]:
        return 0
    length = 9 - head[at].bit_length()
    unknown = (1 << 7 * length) - 1
    size = int.from_bytes(head[at : at + length], "big") & unknown
    return 0 if size == unknown else at + length + size


def glance(container: Any, stream: Any, deadline: Deadline) -> Timeline | None:
    """The timeline of a file that has an index, from its first and last packets; None if that leaves a doubt."""
    head, tail = _Extent(stream), _Extent(stream)
    try:
        for packet in read_packets(container, stream, deadline):
            head.add(packet)
            if head.shown >= LOOKAHEAD:
                break
        container.seek(1 << 62, stream=stream)  # the last keyframe; Matroska reads its index on this first seek
        for packet in read_packets(container, stream, deadline):
            tail.add(packet)
    except av.FFmpegError:
        return None
    # An MP4 file counts its frames itself; the first ones tell less.
    rate = FrameRate.of(stream) if container.format.name.startswith("mov") else head.rate()
    first, last = head.timeline(rate), tail.timeline(rate)
    if first.origin is None or last.end is None or last.end <= first.origin:
        return None
    return dataclasses.replace(first, end=last.end)


class _Extent:
    """The first and the last tick among packets, in the order of the file."""

    def __init__(self, stream: Any) -> None:
        self.tick_seconds: Fraction = stream.time_base
        self._rate = FrameRate.of(stream)
        self.count = self.shown = self.joins = 0
        self.decoded = array("q")
        """When packets are decoded, in ticks: as many as say so."""
        self._times = array("q")
        """When frames are shown, in ticks."""
        self._plain = True
        self._first: int | None = None
        self._last: int | None = None
        self._own: int | None = None
        """Ticks that the last frame is shown for, by its packet's word."""

    def add(self, packet: Any) -> None:
        self.count += 1
        self.joins += joins(packet)
        if packet.dts is not None:
            self.decoded.append(packet.dts)
        tick = packet.pts
        if self.count == 1 and not packet.is_keyframe:
            self._plain = False  # the frames before the first keyframe cannot be decoded
        if packet.is_discard:  # cut away by an edit list: decoded, but never shown
            return
        self.shown += 1
        if tick is None:
            self._plain = False
            return
        if self._first is None or tick < self._first:
            if self._first is not None and self.count == self.shown:
                self._plain = False  # shown before the first keyframe: it may lack what it refers to
            self._first = tick
        self._times.append(tick)
        if self._last is None or tick > self._last:
            self._last, self._own = tick, packet.duration

    def rate(self) -> FrameRate:
        return self._rate.check(self._times, tick_seconds=self.tick_seconds)

    def timeline(self, rate: FrameRate | None = None) -> Timeline:
        """``rate``: where more is known of it than these packets tell."""
        rate = rate or self.rate()
        last = rate.last_ticks(self._own, tick_seconds=self.tick_seconds)
        return Timeline(
            tick_seconds=self.tick_seconds,
            frame_seconds=rate.average,
            origin=self._first if self._plain else None,
            end=None if self._last is None else self._last + last,
        )
