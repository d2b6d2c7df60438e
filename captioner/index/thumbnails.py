"""Small WebP pictures of clips, by the codec that comes with PyAV."""

from __future__ import annotations

import av
import numpy as np

SIDE = 160
"""Pixels of the longer side."""
_QUALITY = "60"


def thumbnail(pixels: np.ndarray, width: int, height: int) -> bytes:
    """The first of the frames (T, S, S, 3) as a picture of the shape that a player shows; empty without one."""
    if not len(pixels) or not width or not height:
        return b""
    scale = SIDE / max(width, height)
    columns, rows = (max(2, 2 * round(side * scale / 2)) for side in (width, height))
    context = av.CodecContext.create("libwebp", "w")
    context.width, context.height, context.pix_fmt = columns, rows, "yuv420p"
    context.time_base = 1
    context.options = {"quality": _QUALITY, "compression_level": "2"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[0]), format="rgb24")
    frame = frame.reformat(width=columns, height=rows, format="yuv420p", interpolation="AREA")
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
