"""From clips and captions to padded tensors, in an order that depends only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from captioner.language.pieces import BOS, EOS, PAD

_POOL = 40
"""Batches sorted by length together: little padding, yet another order every epoch."""


@dataclass(frozen=True)
class Example:
    """One caption of one clip; ``clip`` is -1 for text without a clip."""

    clip: int
    tokens: tuple[int, ...]  # without bos and eos


def draw_examples(
    captions: Sequence[Sequence[tuple[int, ...]]],
    *,
    repeat: Sequence[int],
    per_clip: int,
    rng: np.random.Generator,
) -> list[Example]:
    """One epoch: ``repeat[clip]`` times every caption of a clip, or ``per_clip`` drawn from it (0 is all)."""
    examples = []
    for clip, tokens in enumerate(captions):
        for _ in range(repeat[clip]):
            chosen: Sequence[int] = range(len(tokens))
            if per_clip and len(tokens) > per_clip:
                chosen = sorted(rng.choice(len(tokens), size=per_clip, replace=False))
            examples += [Example(clip, tokens[i]) for i in chosen]
    return examples


def bucket(
    examples: Sequence[Example],
    *,
    size: int,
    rng: np.random.Generator,
    is_photo: Sequence[bool] = (),
) -> list[list[Example]]:
    """Shuffled batches of ``size`` examples of similar length.

    ``is_photo``, by clip, keeps photos and clips apart: a photo beside a clip would be padded to the clip's frames.
    """
    shuffled = [examples[i] for i in rng.permutation(len(examples))]
    kinds = [[e for e in shuffled if is_photo[e.clip] == kind] for kind in (False, True)] if is_photo else [shuffled]
    batches: list[list[Example]] = []
    for order in kinds:
        for start in range(0, len(order), size * _POOL):
            alike = sorted(order[start : start + size * _POOL], key=lambda e: len(e.tokens))
            batches += [alike[i : i + size] for i in range(0, len(alike), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


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


def collate_captions(captions: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Captions -> inputs (B, L), from bos on, and targets (B, L), up to eos, both padded."""
    length = max(len(c) for c in captions) + 1
    inputs = np.full((len(captions), length), PAD, dtype=np.int64)
    targets = np.full((len(captions), length), PAD, dtype=np.int64)
    for row, tokens in enumerate(captions):
        inputs[row, : len(tokens) + 1] = [BOS, *tokens]
        targets[row, : len(tokens) + 1] = [*tokens, EOS]
    return torch.from_numpy(inputs), torch.from_numpy(targets)
