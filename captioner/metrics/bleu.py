"""BLEU-1 to BLEU-4 (Papineni et al. 2002) with coco-caption's choices.

The corpus score comes from summed counts. The reference length is the closest one, the shorter of two equally close.
``1e-15`` over ``1e-9`` takes the place of smoothing, for the corpus and for single clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captioner.metrics.ngrams import ORDERS, NgramIndex, Tokens, find, first_of_each
from captioner.metrics.text import tokenize

_TINY, _SMALL = 1e-15, 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BleuScores:
    """BLEU-1..4: ``corpus`` (4,) and ``per_clip`` (clips, 4)."""

    corpus: Floats
    per_clip: Floats


def bleu(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> BleuScores:
    """Corpus and sentence BLEU of each caption against its clip's references."""
    counts = statistics(
        [tokenize(caption) for caption in hypotheses.values()],
        [[tokenize(caption) for caption in references[clip]] for clip in hypotheses],
    )
    return BleuScores(score(counts.sum(axis=0)), score(counts))


def statistics(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> NDArray[np.int64]:
    """What BLEU is made of, (clips, 10): matches of each order, n-grams of each order, length, reference length.

    Rows add up: ``score(rows.sum(axis=0))`` is the corpus score.
    """
    flat = [caption for captions in references for caption in captions]
    clip_of = np.repeat(np.arange(len(references)), [len(captions) for captions in references])
    index, reference_counts = NgramIndex.of(flat)
    table = np.zeros((len(hypotheses), 2 * ORDERS + 2), dtype=np.int64)
    lengths = np.array([len(caption) for caption in hypotheses], dtype=np.int64)
    for order, (ours, theirs) in enumerate(zip(index.count(hypotheses), reference_counts, strict=True)):
        size = max(index.sizes[order], 1)
        keys, allowed = _largest(clip_of[theirs.caption] * size + theirs.ngram, theirs.count)
        place = find(keys, ours.caption * size + ours.ngram)
        place[ours.ngram >= size] = -1  # an n-gram that no reference has
        matched = np.minimum(ours.count, allowed[place])[place >= 0] if len(keys) else ours.count[:0]
        table[:, order] = np.bincount(ours.caption[place >= 0], matched, minlength=len(hypotheses))
        table[:, ORDERS + order] = np.maximum(lengths - order, 0)
    table[:, -2] = lengths
    table[:, -1] = [_closest(len(h), [len(r) for r in rs]) for h, rs in zip(hypotheses, references, strict=True)]
    return table


def score(counts: NDArray[np.int64] | Floats) -> Floats:
    """BLEU-1..4 (..., 4) of (sums of) rows of :func:`statistics` (..., 10)."""
    counts = np.asarray(counts, dtype=np.float64)
    matches, ngrams = counts[..., :ORDERS], counts[..., ORDERS : 2 * ORDERS]
    length, reference_length = counts[..., -2:-1], counts[..., -1:]
    means = np.cumprod((matches + _TINY) / (ngrams + _SMALL), axis=-1) ** (1 / np.arange(1, ORDERS + 1))
    ratio = (length + _TINY) / (reference_length + _SMALL)
    return np.where(ratio < 1, means * np.exp(1 - 1 / np.minimum(ratio, 1)), means)


def _largest(keys: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each key once, sorted, with the largest of its values."""
    order = np.argsort(keys)
    starts = np.flatnonzero(first_of_each(keys[order]))
    return keys[order][starts], np.maximum.reduceat(values[order], starts) if len(starts) else values


def _closest(length: int, reference_lengths: Sequence[int]) -> int:
    return min((abs(other - length), other) for other in reference_lengths)[1]
