"""Frames as small pictures inside the page, so that nothing has to be fetched or deleted later."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from captioner.video.frames import Frames

HEIGHT = 144
THUMBNAIL = 64


def data_uri(pixels: np.ndarray, *, size: tuple[int, int], quality: int = 80) -> str:
    """(height, width, 3) uint8 RGB as the ``data:`` URI of a JPEG of ``size`` (width, height)."""
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR).save(out, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def strip(frames: Frames, *, squashed: bool) -> list[str]:
    """Each frame as the network saw it; ``squashed`` ones are given the clip's own shape back."""
    return [data_uri(pixels, size=_size(frames, squashed, HEIGHT)) for pixels in frames.pixels]


def thumbnail(frames: Frames, index: int, *, squashed: bool) -> str:
    """One frame, very small."""
    return data_uri(frames.pixels[index], size=_size(frames, squashed, THUMBNAIL), quality=70)


def _size(frames: Frames, squashed: bool, height: int) -> tuple[int, int]:
    if not squashed:
        return height, height
    return int(np.clip(round(height * frames.width / frames.height), height // 3, 3 * height)), height
