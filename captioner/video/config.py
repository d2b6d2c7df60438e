"""Settings of frame sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require

Mode = Literal["exact", "segment"]
Resize = Literal["squash", "crop", "pad"]


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """The frame recipe: how frames are sampled and scaled. Every checkpoint and every feature key holds it."""

    frames: int = 16
    """Sampled frames: the middles of this many equal parts of the clip (or of start to end)."""
    size: int = 224
    """Side of the square input of the CNN, in pixels."""
    resize: Resize = "squash"
    """How a frame becomes a square: ``squash`` ignores the aspect ratio, ``crop`` cuts the longer side, ``pad`` adds
    black bars."""
    mode: Mode = "exact"
    """``exact``: the frames that decoding everything would give. ``segment``: a keyframe in the same part of the clip
    may replace the frame in its middle, which is much faster on long films."""

    def __post_init__(self) -> None:
        require(1 <= self.frames <= 4096, f"video.frames is {self.frames}; it must be 1 to 4096")
        require(16 <= self.size <= 2048, f"video.size is {self.size}; it must be 16 to 2048 pixels")
