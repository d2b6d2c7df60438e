"""Picks the frames of a clip that a CNN sees.

Frames that equal the one before, as in a still, a slide or a camera's view at night, share its features. The original
CNN looks at a quarter of the frames. Shapes: T frames, K of them distinct, S x S pixels.
"""

from __future__ import annotations

import numpy as np

NOISE = 2.0
"""The most that the mean of a block may differ, of 255, in any colour. Filmed stills differ by less in two thirds of
their frames and keep 99 % of their captions; with 3, 95 % (docs/notebook/2026-11-30-stills.md)."""
_BLOCKS = 32
"""Blocks along a side: large enough for noise to average out, small enough for a small thing to count."""
_LOOKS = 4


def distinct_frames(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames (K,) of one clip (T, S, S, 3) uint8 that differ, and for each frame (T,) its place among them.

    Each frame is compared with the last distinct one, so that a slow change cannot add up unseen.
    """
    kept: list[int] = []
    places = np.empty(len(pixels), np.intp)
    last = None
    for number, frame in enumerate(pixels):
        means = _means(frame)
        if last is None or np.abs(means - last).max() > NOISE:
            last = means
            kept.append(number)
        places[number] = len(kept) - 1
    return np.array(kept, np.intp), places


def look_every(frames: int) -> slice:
    """The frames of a clip that the original CNN looks at: all of up to seven, else four to seven, evenly spread."""
    step = max(1, frames // _LOOKS)
    return slice(step // 2, None, step)


def _means(frame: np.ndarray) -> np.ndarray:
    """The mean of each block and colour, as rows of blocks; the last pixels are repeated to fill the last blocks."""
    side = max(1, frame.shape[0] // _BLOCKS)
    below, beside = (-length % side for length in frame.shape[:2])
    if below or beside:
        frame = np.pad(frame, ((0, below), (0, beside), (0, 0)), mode="edge")
    height, width, colours = frame.shape
    rows = frame.reshape(-1, side, width * colours).sum(axis=1, dtype=np.uint32)  # rows first: 6 times as fast
    return rows.reshape(height // side, -1, side, colours).sum(axis=2, dtype=np.float32) / side**2
