"""One clock for recordings that were put one after the other, each with its own."""

from __future__ import annotations

from typing import Any

_JUMP_SECONDS = (-0.5, 600.0)
"""A clock that steps further back or forward between frames has jumped. Frames are decoded in order, and a gap is never
this long."""
_JOIN = object()


class OneClock:
    """Shifts the timestamps of a stream whose clock jumps, so that its parts follow each other."""

    def __init__(self, stream: Any) -> None:
        self._back, self._forward = (int(seconds / stream.time_base) for seconds in _JUMP_SECONDS)
        self._shift = 0
        self._last: int | None = None
        self._step = 1

    def set(self, packet: Any) -> None:
        """Shift a packet, the next in the file, and mark it where a part begins."""
        tick = packet.dts if packet.dts is not None else packet.pts
        if tick is None:
            return
        if self._last is not None:
            step = tick + self._shift - self._last
            if not self._back <= step <= self._forward:
                self._shift += self._step - step
                packet.opaque = _JOIN
            elif step > 0:
                self._step = step
        self._last = tick + self._shift
        if self._shift:
            packet.pts = None if packet.pts is None else packet.pts + self._shift
            packet.dts = None if packet.dts is None else packet.dts + self._shift


def joins(packet: Any) -> bool:
    """Whether a recording's part begins with this packet, its clock having jumped."""
    return packet.opaque is _JOIN
