"""A preview of a video that the browser cannot play: its own frames, as WebM."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from captioner.video.config import VideoConfig
from captioner.video.frames import Frames

HEIGHT = 288
LEAST, MOST, A_SECOND = 16, 150, 10


def recipe(duration_seconds: float | None) -> VideoConfig:
    """The frames that a preview of so long a video is made of."""
    wanted = MOST if duration_seconds is None else round(A_SECOND * duration_seconds)
    return VideoConfig(frames=int(np.clip(wanted, LEAST, MOST)), size=HEIGHT)


def write_preview(frames: Frames, path: Path) -> Path:
    """Write ``frames``, each shown at its time and until the next; they are given the clip's own shape back."""
    width = 2 * int(np.clip(round(HEIGHT * frames.width / frames.height), HEIGHT // 3, 3 * HEIGHT) // 2)
    times = [0.0, *frames.times_seconds[1:], max(frames.duration_seconds or 0.0, frames.times_seconds[-1] + 0.1)]
    pixels = [*frames.pixels, frames.pixels[-1]]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libvpx", rate=1000)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, HEIGHT, "yuv420p", 1_500_000
        stream.options = {"deadline": "realtime", "cpu-used": "8", "g": "10"}
        shown = -1
        for seconds, picture in zip(times, pixels, strict=True):
            frame = av.VideoFrame.from_ndarray(np.asarray(Image.fromarray(picture).resize((width, HEIGHT))), "rgb24")
            shown = frame.pts = max(round(1000 * seconds), shown + 1)
            frame.time_base = Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
