"""A decoded frame as the RGB picture that a viewer shows: HDR mapped to SDR, what is transparent left out."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from captioner.video.tonemap import hdr_to_sdr, is_hdr

BACKGROUND = 127
"""Grey behind what is transparent: to the CNN, whose mean it is, nothing."""


def rgb_picture(frame: Any) -> np.ndarray:
    """(height, width, 3) uint8 RGB."""
    rgb = hdr_to_sdr(frame) if is_hdr(frame) else frame.reformat(format="rgb24", threads=1).to_ndarray()
    if not _has_alpha(frame.format.name):
        return rgb
    return on_background(rgb, frame.reformat(format="rgba", threads=1).to_ndarray()[..., 3])


def on_background(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture on grey; its colours are not multiplied by ``alpha`` (height, width) uint8 yet."""
    if alpha.min() == 255:
        return rgb
    opacity = alpha[..., None].astype(np.uint16)
    return ((rgb * opacity + BACKGROUND * (255 - opacity) + 127) // 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _has_alpha(name: str) -> bool:
    """Whether pixels of this format may be transparent; those of a palette may."""
    from av import VideoFormat

    return name == "pal8" or any(component.is_alpha for component in VideoFormat(name).components)
