"""Diversity of captions: a model that gives every clip one safe sentence can still score well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from captioner.metrics.cider import CiderScorer, DocumentFrequency
from captioner.metrics.ngrams import Tokens
from captioner.metrics.text import tokenize


@dataclass(frozen=True)
class Diversity:
    """Counts over all captions together. Captions are compared as tokens: case and punctuation do not matter."""

    captions: int
    distinct_1: float
    """Different words / words (Li et al. 2016)."""
    distinct_2: float
    """Different pairs of neighbouring words / such pairs."""
    vocabulary: int
    """Different words in the captions ..."""
    reference_vocabulary: int
    """... and in the references."""
    unique_share: float
    """Different captions / captions."""
    repeated_share: float
    """Share of clips whose caption another clip has too."""
    most_common: str
    """The caption given most often ..."""
    most_common_share: float
    """... and to what share of the clips."""
    novel_share: float | None
    """Share of captions that are not among the training captions, where those are known."""
    mean_words: float
    shortest_words: int
    longest_words: int
    mean_reference_words: float
    n_best: int
    """The most hypotheses a clip has; 1 where the predictions have no alternatives."""
    self_cider: float | None
    """Of the n-best of a clip, averaged (Wang and Chan 2019): 0 all alike, 1 nothing in common."""


def diversity(
    captions: Mapping[str, Tokens],
    references: Mapping[str, Sequence[Tokens]],
    *,
    training: Collection[tuple[str, ...]] | None = None,
    self_cider: float | None = None,
    n_best: int = 1,
) -> Diversity:
    """The figures for tokenised captions; at least one clip. ``training``: tokenised training captions."""
    words = Counter(word for caption in captions.values() for word in caption)
    pairs = Counter(pair for caption in captions.values() for pair in pairwise(caption))
    sentences = Counter(tuple(caption) for caption in captions.values())
    common, times = sentences.most_common(1)[0]
    lengths = [len(caption) for caption in captions.values()]
    reference_lengths = [len(caption) for group in references.values() for caption in group]
    known = None if training is None else set(training)
    return Diversity(
        captions=len(captions),
        distinct_1=len(words) / max(words.total(), 1),
        distinct_2=len(pairs) / max(pairs.total(), 1),
        vocabulary=len(words),
        reference_vocabulary=len({word for group in references.values() for caption in group for word in caption}),
        unique_share=len(sentences) / len(captions),
        repeated_share=sum(n for n in sentences.values() if n > 1) / len(captions),
        most_common=" ".join(common),
        most_common_share=times / len(captions),
        novel_share=None if known is None else sum(tuple(c) not in known for c in captions.values()) / len(captions),
        mean_words=float(np.mean(lengths)),
        shortest_words=min(lengths),
        longest_words=max(lengths),
        mean_reference_words=float(np.mean(reference_lengths)),
        n_best=n_best,
        self_cider=self_cider,
    )


def self_cider(
    alternatives: Mapping[str, Sequence[str]],
    *,
    frequency: DocumentFrequency,
    tokenize: Callable[[str], list[str]] = tokenize,
) -> float | None:
    """Mean self-CIDEr of the clips with at least two hypotheses; None where there is no such clip.

    From the eigenvalues of the matrix of CIDEr similarities between a clip's m hypotheses (Wang and Chan 2019,
    eq. 8): ``-log(largest / sum) / log(m)``, with square roots of the eigenvalues. CIDEr-D is not quite symmetric;
    the mean of both directions is taken.
    """
    groups = {clip: group for clip, group in alternatives.items() if len(group) > 1}
    if not groups:
        return None
    single = {f"{clip}\n{i}": [text] for clip, group in groups.items() for i, text in enumerate(group)}
    scorer = CiderScorer(single, document_frequency=frequency, tokenize=tokenize)
    pairs = [(f"{c}\n{i}", text) for c, group in groups.items() for i in range(len(group)) for text in group]
    similarity = scorer.score([name for name, _ in pairs], [text for _, text in pairs]) / 10
    values, start = [], 0
    for group in groups.values():
        size = len(group)
        kernel = similarity[start : start + size**2].reshape(size, size)
        start += size**2
        # Captions without a word that tells anything have no direction: each is only like itself.
        kernel = (kernel + kernel.T) / 2
        np.fill_diagonal(kernel, 1.0)
        roots = np.sqrt(np.clip(np.linalg.eigvalsh(kernel), 0, None))
        values.append(-np.log(roots[-1] / roots.sum()) / np.log(size))
    return float(np.mean(values))


def training_captions(
    captions: Sequence[str], *, tokenize: Callable[[str], list[str]] = tokenize
) -> set[tuple[str, ...]]:
    """Training captions in the form that :func:`diversity` compares."""
    return {tuple(tokenize(caption)) for caption in captions}
