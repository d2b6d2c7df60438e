"""Merges neighbouring segments with the same caption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captioner.caption.result import Alternative, Caption, DetectedNoun, Embedding, Word

_GAP_SECONDS = 1e-3
"""Captions follow each other when they are no further apart: times in files are rounded to milliseconds."""


def merge_captions(captions: Iterable[Caption]) -> Iterator[Caption]:
    """The captions, in order, with each run of neighbours that say the same of one file made into one.

    Its score, log-probability, confidence and attention are means over its parts, weighted by their lengths, so that
    words' attention still sums to 1 over all frames. Its alternatives are those that every part has. Each caption
    comes once the next is known to differ.
    """
    held: Caption | None = None
    for caption in captions:
        certain, held = merge_next(held, caption)
        if certain is not None:
            yield certain
    if held is not None:
        yield held


def merge_next(held: Caption | None, caption: Caption) -> tuple[Caption | None, Caption]:
    """One step of :func:`merge_captions`: what is certain now that ``caption`` follows ``held``, and what is held."""
    if held is not None and _same(held, caption):
        return None, _merge(held, caption)
    return held, caption


def _same(a: Caption, b: Caption) -> bool:
    return (
        (a.path, a.text, a.model, a.abstained) == (b.path, b.text, b.model, b.abstained)
        and [w.text for w in a.words] == [w.text for w in b.words]
        and a.scene_seconds is None
        and b.scene_seconds is None
        and a.end_seconds is not None
        and b.end_seconds is not None
        and abs(b.start_seconds - a.end_seconds) <= _GAP_SECONDS
    )


def _merge(a: Caption, b: Caption) -> Caption:
    assert a.end_seconds is not None and b.end_seconds is not None
    first, second = a.end_seconds - a.start_seconds, b.end_seconds - b.start_seconds
    share = first / (first + second) if first + second > 0 else 0.5
    # Both may have looked at the picture that was on the screen between them.
    common = int(bool(a.times_seconds) and a.times_seconds[-1:] == b.times_seconds[:1])
    times = a.times_seconds + b.times_seconds[common:]
    return replace(
        a,
        score=_mean(a.score, b.score, share),
        log_prob=_mean(a.log_prob, b.log_prob, share),
        confidence=_mean(a.confidence, b.confidence, share),
        words=_words(a, b, share, times, common),
        alternatives=_alternatives(a, b, share),
        times_seconds=times,
        end_seconds=b.end_seconds,
        warnings=tuple(dict.fromkeys(a.warnings + b.warnings)),
        evidence=_sights(a.evidence, b.evidence, share),
        match=None if a.match is None or b.match is None else _mean(a.match, b.match, share),
        support=None if a.support is None or b.support is None else _mean(a.support, b.support, share),
        embedding=_embedding(a.embedding, b.embedding, share),
    )


def _mean(a: float, b: float, share: float) -> float:
    return share * a + (1 - share) * b


def _embedding(a: Embedding | None, b: Embedding | None, share: float) -> Embedding | None:
    """The mean direction of both vectors, and mean features; words merge as nouns do, the thumbnail is the first."""
    if a is None or b is None:
        return a or b
    import numpy as np

    def mean(*both: bytes) -> np.ndarray:
        first, second = (np.frombuffer(each, np.float16).astype(np.float32) for each in both)
        return share * first + (1 - share) * second

    vector = mean(a.vector, b.vector)
    vector /= max(float(np.linalg.norm(vector)), 1e-12)
    return replace(
        a,
        vector=vector.astype(np.float16).tobytes(),
        words=_sights(a.words, b.words, share),
        features=mean(a.features, b.features).astype(np.float16).tobytes(),
    )


def _sights(a: tuple[DetectedNoun, ...], b: tuple[DetectedNoun, ...], share: float) -> tuple[DetectedNoun, ...]:
    """The nouns of both, surest first; one that a part did not tell counts nothing there."""
    first, second = ({sight.noun: sight for sight in told} for told in (a, b))
    merged = []
    for noun in first.keys() | second.keys():
        parts = [sight for sight in (first.get(noun), second.get(noun)) if sight]
        here, there = (sights[noun].probability if noun in sights else 0.0 for sights in (first, second))
        surest = max(parts, key=lambda sight: sight.probability)
        merged.append(replace(surest, probability=_mean(here, there, share), used=any(sight.used for sight in parts)))
    return tuple(sorted(merged, key=lambda sight: (-sight.probability, sight.noun)))


def _words(a: Caption, b: Caption, share: float, times: tuple[float, ...], common: int) -> tuple[Word, ...]:
    words = []
    for first, second in zip(a.words, b.words, strict=True):
        attention = _joined(first.attention, second.attention, share, common)
        grid = _joined(first.grid, second.grid, share, common if first.grid and second.grid else 0)
        peak = times[attention.index(max(attention))]
        words.append(replace(first, attention=tuple(attention), peak_seconds=peak, grid=tuple(map(tuple, grid))))
    return tuple(words)


def _joined(a: Sequence[Any], b: Sequence[Any], share: float, common: int) -> list[Any]:
    """The rows of both, weighted; with a ``common`` frame the last of ``a`` and the first of ``b`` become one."""
    import numpy as np

    left, right = share * np.array(a), (1 - share) * np.array(b)
    if common:
        left[-1] += right[0]
    rows: list[Any] = [*left.tolist(), *right[common:].tolist()]
    return rows


def _alternatives(a: Caption, b: Caption, share: float) -> tuple[Alternative, ...]:
    """Those of both; each part's own caption is its best, so that it is the best by the means too."""
    others = {alternative.text: alternative for alternative in b.alternatives}
    both = [
        replace(
            alternative,
            score=_mean(alternative.score, others[alternative.text].score, share),
            log_prob=_mean(alternative.log_prob, others[alternative.text].log_prob, share),
        )
        for alternative in a.alternatives
        if alternative.text in others
    ]
    return tuple(sorted(both, key=lambda alternative: -alternative.score))
