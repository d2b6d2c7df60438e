"""Views of a clip: the same moments flipped, cropped and a little earlier or later, so that few clips are not learned
by heart.

View 0 is the clip as it is captioned later. The others are cached beside it; an epoch sees one of them a clip.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from captioner.video.config import VideoConfig

_MARGIN = 8 / 7
"""Frames are decoded so much larger than the window that is cut out of them."""
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


def view_recipe(video: VideoConfig) -> VideoConfig:
    """The frames that views are cut from: larger, and twice as many moments."""
    return replace(video, size=round(video.size * _MARGIN), frames=2 * video.frames)


def has_sides(captions: Sequence[str]) -> bool:
    """Whether a caption tells left from right, so that the clip must not be flipped."""
    return any(_SIDES.search(caption) for caption in captions)


def cut_view(frames: np.ndarray, *, view: int, video: VideoConfig, name: str, flip: bool) -> np.ndarray:
    """View ``view`` (from 1) of frames (T, R, R, 3) that :func:`view_recipe` gave: (T', S, S, 3).

    Odd views are mirrored if ``flip`` allows; the window and the moments depend on the view and on ``name`` alone.
    """
    rng = np.random.default_rng([view, zlib.crc32(name.encode())])
    if len(frames) > video.frames:
        frames = frames[int(rng.integers(2)) :: 2]
    top, left = rng.integers(frames.shape[1] - video.size + 1, size=2)
    window = frames[:, top : top + video.size, left : left + video.size]
    if flip and view % 2:
        window = window[:, :, ::-1]
    return np.ascontiguousarray(window)
