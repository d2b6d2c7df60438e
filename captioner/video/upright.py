"""Pictures as a player shows them: in RGB, HDR as SDR, on grey, turned as the matrix or the EXIF block says."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from captioner.video.exif import exif_orientation
from captioner.video.layout import Layout
from captioner.video.tonemap import hdr_to_sdr, is_hdr

BACKGROUND = 127
"""Grey behind what is transparent: to the CNN, whose mean it is, nothing."""


@dataclass(frozen=True, kw_only=True)
class SampledFrame:
    """One frame at the resolution of the file, rotated as a player would."""

    time_seconds: float
    pixels: np.ndarray
    """(height, width, 3) uint8 RGB."""
    pixel_aspect: float
    """Width of one pixel over its height; not 1 on DVDs and the like."""

    @property
    def size_shown(self) -> tuple[int, int]:
        """(width, height) with square pixels."""
        height, width = self.pixels.shape[:2]
        return max(1, round(width * self.pixel_aspect)), height


class Upright:
    """Turns the frames of one clip into RGB pictures that stand as a player or a viewer shows them."""

    def __init__(self, file: Path | None = None) -> None:
        """``file``: where the frames are from, which may be a photo; None: they are not of a photo."""
        orientation = exif_orientation(file) if file else None
        self._photo = _EXIF_TURNS[orientation] if orientation else None
        self._turns: dict[int, _Turn] = {0: _Turn()}

    def __call__(self, seconds: Fraction, frame: Any, layout: Layout) -> SampledFrame:
        turn = self._photo or self._turn(frame)
        pixels, pixel_aspect = rgb_picture(frame), layout.pixel_aspect
        if layout.eye:
            pixels = layout.eye.of(pixels)
        return SampledFrame(
            time_seconds=float(seconds),
            pixels=turn.apply(pixels),
            pixel_aspect=1 / pixel_aspect if turn.transpose else pixel_aspect,
        )

    def degrees(self, frame: Any) -> int:
        """By which it turns a frame counter-clockwise; mirroring left aside."""
        return self._photo.degrees if self._photo else frame.rotation % 360

    def _turn(self, frame: Any) -> _Turn:
        rotation = frame.rotation
        if rotation not in self._turns:
            self._turns[rotation] = _Turn.of(frame)
        return self._turns[rotation]


@dataclass(frozen=True)
class _Turn:
    """A quarter turn, half turn or mirroring, as rows and columns exchanged first and turned round then."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: Any) -> _Turn:
        """The nearest to a frame's display matrix, by which the point (x, y) is shown at (ax + cy, bx + dy).

        Called as rarely as can be, and never for photos: PyAV's side data and its frame hold each other until the
        garbage collector comes, and a colour profile among the side data is then freed twice (a crash).
        """
        matrix = next(bytes(item) for item in frame.side_data if item.type.name == "DISPLAYMATRIX")
        a, b, _, c, d = struct.unpack_from("=5i", matrix)
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
        return cls(transpose=False, flip_rows=d < 0, flip_columns=a < 0)

    @property
    def degrees(self) -> int:
        """Counter-clockwise, as a player would turn the stored picture; mirroring left aside."""
        if self.transpose:
            return 90 if self.flip_rows else 270
        return 180 if self.flip_rows and self.flip_columns else 0

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        return pixels[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


_EXIF_TURNS = {
    1: _Turn(),
    2: _Turn(flip_columns=True),
    3: _Turn(flip_rows=True, flip_columns=True),
    4: _Turn(flip_rows=True),
    5: _Turn(transpose=True),
    6: _Turn(transpose=True, flip_columns=True),
    7: _Turn(transpose=True, flip_rows=True, flip_columns=True),
    8: _Turn(transpose=True, flip_rows=True),
}
"""By EXIF's orientation: where the stored picture's first row and first column are shown."""


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
    return name == "pal8" or any(component.is_alpha for component in av.VideoFormat(name).components)
