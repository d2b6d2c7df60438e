"""How a stored picture is laid out: the shape of its pixels, and what of it one eye sees of a stereo video."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

_SQUEEZED_COLUMNS, _SQUEEZED_ROWS = 0.95, 2.45
"""Two views that share a picture of ordinary size are each squeezed: narrower, or wider, than videos are."""


@dataclass(frozen=True)
class Eye:
    """Where the left eye's view lies: a half of the picture, or every other line of it."""

    across: bool
    """Views share the columns; else the rows."""
    second: bool = False
    interleaved: bool = False

    def of(self, pixels: np.ndarray) -> np.ndarray:
        axis = 1 if self.across else 0
        half = pixels.shape[axis] // 2
        if self.interleaved:
            lines = slice(int(self.second), 2 * half, 2)
        else:
            lines = slice(half, 2 * half) if self.second else slice(half)
        return pixels[:, lines] if self.across else pixels[lines]


# By Matroska's StereoMode, in FFmpeg's words. Frames in turn (block_lr) and anaglyphs are shown as they are.
_EYES = {
    "left_right": Eye(across=True),
    "right_left": Eye(across=True, second=True),
    "top_bottom": Eye(across=False),
    "bottom_top": Eye(across=False, second=True),
    "col_interleaved_lr": Eye(across=True, interleaved=True),
    "col_interleaved_rl": Eye(across=True, second=True, interleaved=True),
    "row_interleaved_lr": Eye(across=False, interleaved=True),
    "row_interleaved_rl": Eye(across=False, second=True, interleaved=True),
}
# Of MP4: the st3d box (Spherical Video V2) and the XML before it (V1), and Apple's packing of views.
_MP4_STEREO = [
    (rb"\0\0\0\x0dst3d\0{4}\x01|StereoMode>\s*top-bottom|\0\0\0\x10pkin\0{4}over", "top_bottom"),
    (rb"\0\0\0\x0dst3d\0{4}\x02|StereoMode>\s*left-right|\0\0\0\x10pkin\0{4}side", "left_right"),
    (rb"\0\0\0\x0dst3d\0{4}\x04", "right_left"),
]


def mp4_stereo_mode(index: bytes) -> str | None:
    """The mode that the index (moov) of an MP4 file names, in Matroska's words."""
    if b"st3d" not in index and b"StereoMode" not in index and b"pkin" not in index:
        return None
    return next((mode for pattern, mode in _MP4_STEREO if re.search(pattern, index)), None)


@dataclass(frozen=True)
class Layout:
    """How the pictures of a stream are laid out."""

    pixel_aspect: float = 1.0
    """Width over height of a stored pixel, of one view where there are two."""
    eye: Eye | None = None
    """None: the whole picture is shown."""

    @classmethod
    def of(cls, stream: Any) -> Layout:
        aspect = stream.sample_aspect_ratio or Fraction(1)
        pixel_aspect = float(aspect) if Fraction(1, 8) <= aspect <= 8 else 1.0  # else the file says something absurd
        mode = stream.metadata.get("stereo_mode")
        eye = _EYES.get(mode) if mode else None
        if eye is None:
            return cls(pixel_aspect)
        return cls(_unsqueezed(pixel_aspect, eye, stream.width, stream.height), eye)


def _unsqueezed(pixel_aspect: float, eye: Eye, width: int, height: int) -> float:
    """The shape of a view's pixels where the file gives only that of the whole picture's."""
    if pixel_aspect != 1 or min(width, height) < 2:
        return pixel_aspect
    shape = width / 2 / height if eye.across else width / (height / 2)
    if eye.across:
        return 2.0 if shape < _SQUEEZED_COLUMNS else 1.0
    return 0.5 if shape > _SQUEEZED_ROWS else 1.0
