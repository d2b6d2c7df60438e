"""The oracle of sampling: decode every frame of a file, then pick. Slow, obvious, and nothing of captioner's in it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True)
class Everything:
    """All frames of a file in the order shown, and how long it lasts."""

    frames: list[tuple[Fraction, np.ndarray]]
    """Seconds from the first frame, and uint8 RGB turned as a player would."""
    duration: Fraction

    def sampled(self, count: int, *, start: float | None = None, end: float | None = None) -> list[int]:
        """The numbers of the frames shown in the middle of ``count`` equal parts of start .. end, each once."""
        first = Fraction(0) if start is None else Fraction(start)
        last = self.duration if end is None else min(Fraction(end), self.duration)
        step = (last - first) / count
        middles = [first + step * part + step / 2 for part in range(count)]
        return sorted({max(i for i, (seconds, _) in enumerate(self.frames) if seconds <= m) for m in middles})


def decode_everything(path: str | Path, *, counted: bool = False) -> Everything:
    """Decode the first video of ``path``; ``counted``: its timestamps are missing or mean nothing."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        packets = [p for p in container.demux(stream) if p.size]
        rate = stream.average_rate or stream.guessed_rate or 25
        last = max((p for p in packets if p.pts is not None and not p.is_discard), key=lambda p: p.pts, default=None)
        base = stream.time_base
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        decoded = [frame for frame in container.decode(stream) if not frame.is_corrupt]
        if counted:
            times = [Fraction(i) / rate for i in range(len(decoded))]
            duration = len(packets) / Fraction(rate)
        else:
            times = [(frame.pts - decoded[0].pts) * base for frame in decoded]
            duration = (last.pts + (last.duration or int(1 / rate / base)) - decoded[0].pts) * base
        return Everything([(t, upright(f)) for t, f in zip(times, decoded, strict=True)], duration)


def upright(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame as RGB, turned as FFmpeg's auto-rotation does."""
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90 % 4)
