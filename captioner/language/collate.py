"""Clips and captions of unequal length as padded tensors with masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def collate_clips(
    arrays: Sequence[np.ndarray | None],
    *,
    like: np.ndarray,
    frame_dropout: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Arrays (T_i, ...) -> (B, T, ...) padded and the mask (B, T); None is text without a clip.

    ``like`` gives shape and type where every array is None. ``frame_dropout`` hides that share of the frames, but
    never the last one left.
    """
    longest = max([1, *(len(a) for a in arrays if a is not None)])
    dtype = np.uint8 if like.dtype == np.uint8 else np.float32
    clips = np.zeros((len(arrays), longest, *like.shape[1:]), dtype=dtype)
    mask = np.zeros((len(arrays), longest), dtype=bool)
    for row, array in enumerate(arrays):
        if array is None:
            continue
        clips[row, : len(array)] = array
        keep = np.ones(len(array), dtype=bool)
        if frame_dropout and rng is not None and len(array) > 1:
            keep = rng.random(len(array)) >= frame_dropout
            keep[rng.integers(len(array))] = True
        mask[row, : len(array)] = keep
    return torch.from_numpy(clips), torch.from_numpy(mask)


def collate_captions(captions: Sequence[Sequence[int]], *, pad: int, bos: int, eos: int) -> tuple[Tensor, Tensor]:
    """Captions -> inputs (B, L), from bos on, and targets (B, L), up to eos, both padded."""
    length = max(len(c) for c in captions) + 1
    inputs = np.full((len(captions), length), pad, dtype=np.int64)
    targets = np.full((len(captions), length), pad, dtype=np.int64)
    for row, tokens in enumerate(captions):
        inputs[row, : len(tokens) + 1] = [bos, *tokens]
        targets[row, : len(tokens) + 1] = [*tokens, eos]
    return torch.from_numpy(inputs), torch.from_numpy(targets)
