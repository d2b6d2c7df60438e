"""CIDEr-D (Vedantam et al. 2015) as coco-caption computes it: 1- to 4-grams, sigma 6, times 10.

A caption is a vector of tf-idf weights for each order n; its score is the mean over n and over the clip's references
of ``min(h, r) . r / (|h| |r|) * exp(-(length difference)^2 / (2 sigma^2))``, times 10. The document frequency of
an n-gram is the number of clips with it in a reference, so **scores depend on the set of references**. With one clip
every weight is ``log(1 / 1) = 0``. A score on half a test set does not compare with one on the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError
from captioner.metrics.ngrams import ORDERS, Counts, NgramIndex, Tokens, first_of_each
from captioner.metrics.text import tokenize

SIGMA = 6.0

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class CiderScores:
    """CIDEr-D (x 10): the mean ``corpus`` and ``per_clip`` (clips,)."""

    corpus: float
    per_clip: Floats


@dataclass(frozen=True)
class DocumentFrequency:
    """How many of ``clips`` have each n-gram (a tuple of 1 to 4 tokens) in at least one reference."""

    clips: int
    counts: Mapping[tuple[str, ...], int]


@dataclass(frozen=True)
class _Postings:
    """Where the n-grams of one order stand: sorted by ``key`` = clip * size + n-gram."""

    key: Integers
    reference: NDArray[np.int32]
    weight: Floats


def cider(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> CiderScores:
    """CIDEr-D of each caption, and the mean; the document frequencies are those of all ``references``."""
    per_clip = CiderScorer(references).score(list(hypotheses), list(hypotheses.values()))
    return CiderScores(float(per_clip.mean()), per_clip)


def document_frequency(
    references: Mapping[str, Sequence[str]], *, tokenize: Callable[[str], list[str]] = tokenize
) -> DocumentFrequency:
    """Document frequencies to score with elsewhere (those of a training set, say)."""
    counts: dict[tuple[str, ...], int] = {}
    for captions in references.values():
        tokens = [tokenize(caption) for caption in captions]
        for ngram in {tuple(t[i : i + n]) for t in tokens for n in range(1, 5) for i in range(len(t) - n + 1)}:
            counts[ngram] = counts.get(ngram, 0) + 1
    return DocumentFrequency(len(references), counts)


class CiderScorer:
    """Scores any number of captions against references whose vectors are computed once.

    ``document_frequency``: where the n-grams' weights come from; the references themselves unless given.
    Raises DataError for a clip without references.
    """

    def __init__(
        self,
        references: Mapping[str, Sequence[str]],
        *,
        document_frequency: DocumentFrequency | None = None,
        tokenize: Callable[[str], list[str]] = tokenize,
    ) -> None:
        self._tokenize = tokenize
        tokens = {clip: [tokenize(caption) for caption in captions] for clip, captions in references.items()}
        self._prepare(tokens, document_frequency)

    @classmethod
    def from_tokens(cls, references: Mapping[str, Sequence[Tokens]]) -> CiderScorer:
        """A scorer for references that are tokenised already."""
        scorer = cls.__new__(cls)
        scorer._tokenize = tokenize
        scorer._prepare(references, None)
        return scorer

    @property
    def informative(self) -> bool:
        """Whether any n-gram of the references weighs more than nothing; every score is 0 otherwise."""
        return any(bool((idf[:size] > 0).any()) for idf, size in zip(self._idfs, self._index.sizes, strict=True))

    def score(self, clips: Sequence[str], captions: Sequence[str]) -> Floats:
        """CIDEr-D (n,) of each caption against the references of its clip; a clip may be named many times."""
        return self.score_tokens(clips, [self._tokenize(caption) for caption in captions])

    def score_tokens(self, clips: Sequence[str], captions: Sequence[Tokens]) -> Floats:
        """The same for tokens."""
        unknown = next((clip for clip in clips if clip not in self._clips), None)
        if unknown is not None:
            raise DataError(f"there are no references for the clip {unknown!r}")
        clip = np.array([self._clips[c] for c in clips], dtype=np.int64)
        first, number = self._first[clip], self._number[clip]
        # One cell for each pair of a caption and a reference of its clip, caption by caption.
        cells, shift = int(number.sum()), np.cumsum(number) - number - first
        caption_of = np.repeat(np.arange(len(captions)), number)
        reference_of = np.arange(cells) - np.repeat(shift, number)
        similarity = np.zeros(cells)
        for order, counts in enumerate(self._index.count(captions)):
            weight = counts.count * self._idf(order, counts.ngram)
            dots = self._dots(order, counts, weight, clip, shift, cells)
            scale = _norms(counts, weight, len(captions))[caption_of] * self._norms[order][reference_of]
            similarity += np.divide(dots, scale, out=dots, where=scale != 0)
        difference = _lengths(captions)[caption_of] - self._length[reference_of]
        similarity *= np.exp(-(difference**2) / (2 * SIGMA**2))
        return 10 * _sums(caption_of, similarity, len(captions)) / (ORDERS * number)

    def _prepare(self, references: Mapping[str, Sequence[Tokens]], frequency: DocumentFrequency | None) -> None:
        empty = next((clip for clip, captions in references.items() if not captions), None)
        if empty is not None:
            raise DataError(f"the clip {empty!r} has no references; CIDEr needs at least one for every clip")
        captions = [caption for group in references.values() for caption in group]
        self._clips = {clip: number for number, clip in enumerate(references)}
        self._number = np.array([len(group) for group in references.values()], dtype=np.int64)
        self._first = np.cumsum(self._number) - self._number
        self._length = _lengths(captions)
        if frequency is None:
            self._index, counts = NgramIndex.of(captions)
        else:
            self._index, _ = NgramIndex.of([*captions, *frequency.counts])
            counts = self._index.count(captions)
        self._log_clips = np.log(max(frequency.clips if frequency else len(references), 1))
        self._idfs: list[Floats] = []
        self._norms: list[Floats] = []
        self._postings: list[_Postings] = []
        given = self._given(frequency) if frequency else None
        clip_of = np.repeat(np.arange(len(references)), self._number)
        for order, found in enumerate(counts):
            size = max(self._index.sizes[order], 1)
            key = clip_of[found.caption] * size + found.ngram
            by_key = np.argsort(key)
            key = key[by_key]
            documents = given[order] if given else np.bincount(key[first_of_each(key)] % size, minlength=size)
            self._idfs.append(self._log_clips - np.log(np.maximum(documents, 1)))
            weight = found.count * self._idfs[-1][found.ngram]
            self._norms.append(_norms(found, weight, len(captions)))
            self._postings.append(_Postings(key, found.caption[by_key].astype(np.int32), weight[by_key]))

    def _given(self, frequency: DocumentFrequency) -> list[Integers]:
        """The given document frequencies by order and n-gram number; an n-gram that is not among them has 0."""
        ngrams = list(frequency.counts)
        length = np.array([len(ngram) for ngram in ngrams], dtype=np.int64)
        values = np.array(list(frequency.counts.values()), dtype=np.int64)
        documents = []
        for order, found in enumerate(self._index.count(ngrams)):
            whole = length[found.caption] == order + 1
            documents.append(np.zeros(max(self._index.sizes[order], 1), dtype=np.int64))
            documents[order][found.ngram[whole]] = values[found.caption[whole]]
        return documents

    def _idf(self, order: int, ngram: Integers) -> Floats:
        """log(clips / document frequency); an n-gram that no reference has counts as seen once."""
        known = ngram < self._index.sizes[order]
        return np.where(known, self._idfs[order][np.where(known, ngram, 0)], self._log_clips)

    def _dots(self, order: int, counts: Counts, weight: Floats, clip: Integers, shift: Integers, cells: int) -> Floats:
        """``min(h, r) . r`` of each caption and reference, (cells,): that of reference r is in cell ``r + shift``."""
        size, postings = max(self._index.sizes[order], 1), self._postings[order]
        known = counts.ngram < self._index.sizes[order]
        caption, ngram, weight = counts.caption[known], counts.ngram[known], weight[known]
        key = clip[caption] * size + ngram
        start, stop = (np.searchsorted(postings.key, key, side=side) for side in ("left", "right"))
        times = stop - start
        place = np.arange(times.sum()) + np.repeat(start - np.cumsum(times) + times, times)
        theirs = postings.weight[place]
        cell = postings.reference[place] + np.repeat(shift[caption], times)
        return _sums(cell, np.minimum(np.repeat(weight, times), theirs) * theirs, cells)


def _norms(counts: Counts, weight: Floats, captions: int) -> Floats:
    return np.sqrt(_sums(counts.caption, weight**2, captions))


def _sums(group: NDArray[np.integer], values: Floats, groups: int) -> Floats:
    return np.bincount(group, values, minlength=groups).astype(np.float64)  # numpy gives integers for nothing


def _lengths(captions: Sequence[Tokens]) -> Integers:
    """What coco-caption calls the length of a caption: its number of bigrams."""
    return np.array([max(len(caption) - 1, 0) for caption in captions], dtype=np.int64)
