"""Settings of frame sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """The frame recipe: which pixels the network sees. Part of every checkpoint and of every feature key."""

    frames: int = 16
    """Frames looked at, one in the middle of each of this many equal parts of the clip (or of start..end)."""
    size: int = 224
    """Side of the square handed to the network, in pixels."""
    resize: Literal["squash", "crop", "pad"] = "squash"
    """Into the square by ignoring the aspect ratio, cutting the longer side, or adding black bars."""
    mode: Literal["exact", "segment"] = "exact"
    """``exact``: the very frames that decoding everything would give. ``segment``: a keyframe that lies in
    the same part of the clip may stand in for the frame in its middle; much faster on long films."""

    def __post_init__(self) -> None:
        require(1 <= self.frames <= 4096, f"video.frames is {self.frames}; it must be 1 to 4096")
        require(16 <= self.size <= 2048, f"video.size is {self.size}; it must be 16 to 2048 pixels")
