"""Merging: no overlap, nothing lost, and merging twice is merging once."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captioner.caption.merging import merge_captions
from captioner.caption.result import Alternative, Caption, DetectedNoun, Embedding, Word

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
TEXTS = ("a man runs", "a man sits", "a cat")


def caption(
    start: float,
    end: float | None,
    *,
    text: str = TEXTS[0],
    times: tuple[float, ...] | None = None,
    confidence: float = 0.5,
    peak: int = 0,
    **changes: object,
) -> Caption:
    """A caption whose every word looks at frame ``peak`` most."""
    if times is None:
        last = start + 1.0 if end is None else end
        times = tuple(start + (last - start) * (i + 0.5) / 4 for i in range(4))
    attention = [0.5 / len(times)] * len(times)
    attention[peak] += 0.5
    words = tuple(Word(text=w, attention=tuple(attention), peak_seconds=times[peak]) for w in text.split())
    best = [text, *(t for t in TEXTS if t != text)]
    made = Caption(
        path="a.mp4",
        text=text,
        score=math.log(confidence),
        log_prob=2 * math.log(confidence),
        confidence=confidence,
        words=words,
        alternatives=tuple(
            Alternative(text=t, score=math.log(confidence) - i, log_prob=-9) for i, t in enumerate(best)
        ),
        times_seconds=times,
        start_seconds=start,
        end_seconds=end,
        warnings=(),
        model="m",
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@st.composite
def timelines(draw: st.DrawFn) -> list[Caption]:
    captions, now = [], 0.0
    for _ in range(draw(st.integers(0, 8))):
        now += draw(st.sampled_from((0.0, 0.0, 0.0, 2.0)))
        end = now + draw(st.floats(0.05, 100))
        confidence, peak = draw(st.floats(0.01, 1)), draw(st.integers(0, 3))
        captions.append(caption(now, end, text=draw(st.sampled_from(TEXTS)), confidence=confidence, peak=peak))
        now = end
    return captions


@patient
@given(timelines())
def test_nothing_overlaps_and_nothing_is_lost(captions: list[Caption]) -> None:
    merged = list(merge_captions(captions))
    assert list(merge_captions(merged)) == merged
    for a, b in pairwise(merged):
        assert a.end_seconds is not None and a.end_seconds <= b.start_seconds
        assert a.text != b.text or a.end_seconds < b.start_seconds
    edges = {c.start_seconds for c in merged} | {c.end_seconds for c in merged}
    inner = {c.start_seconds for c in captions} | {c.end_seconds for c in captions}
    assert edges <= inner
    for c in captions:  # each lies in one that says the same
        [home] = [m for m in merged if m.start_seconds <= c.start_seconds and c.end_seconds <= m.end_seconds]  # type: ignore[operator]
        assert home.text == c.text and set(c.times_seconds) <= set(home.times_seconds)
    length = sum((c.end_seconds or 0) - c.start_seconds for c in captions)
    assert sum((c.end_seconds or 0) - c.start_seconds for c in merged) == pytest.approx(length)


@patient
@given(timelines())
def test_attention_and_numbers_stay_sensible(captions: list[Caption]) -> None:
    for c in merge_captions(captions):
        inside = [x for x in captions if c.start_seconds <= x.start_seconds < (c.end_seconds or 0)]
        assert list(c.times_seconds) == sorted(set(c.times_seconds))
        assert " ".join(w.text for w in c.words) == c.text
        for word in c.words:
            assert len(word.attention) == len(c.times_seconds)
            assert sum(word.attention) == pytest.approx(1)
            assert word.peak_seconds == c.times_seconds[word.attention.index(max(word.attention))]
        lowest, highest = min(x.confidence for x in inside), max(x.confidence for x in inside)
        assert lowest - 1e-9 <= c.confidence <= highest + 1e-9
        assert c.alternatives[0].text == c.text and c.alternatives[0].score == pytest.approx(c.score)
        scores = [a.score for a in c.alternatives]
        assert scores == sorted(scores, reverse=True)


def test_the_longer_part_counts_more() -> None:
    [one] = merge_captions([caption(0, 9, confidence=0.8), caption(9, 10, confidence=0.3)])
    assert one.confidence == pytest.approx(0.75)
    assert sum(one.words[0].attention[:4]) == pytest.approx(0.9)


def test_what_an_index_keeps_is_a_mean_over_both_parts() -> None:
    def kept(vector: list[float], features: list[float]) -> Embedding:
        as_bytes = (np.array(numbers, np.float16).tobytes() for numbers in (vector, features))
        return Embedding(vector=next(as_bytes), words=(), features=next(as_bytes))

    first = dataclasses.replace(caption(0, 1), embedding=kept([1, 0], [1, 2, 3]))
    second = dataclasses.replace(caption(1, 4), embedding=kept([0, 1], [5, 2, 7]))
    [merged] = merge_captions([first, second])
    assert merged.embedding is not None
    assert np.frombuffer(merged.embedding.features, np.float16).tolist() == [4, 2, 6]
    vector = np.frombuffer(merged.embedding.vector, np.float16)
    assert vector[1] / vector[0] == pytest.approx(3, rel=1e-2) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


def test_a_caption_of_one_scene_stays_alone() -> None:
    """Its neighbour says the same of another span."""
    three = [caption(0, 10, scene_seconds=(2.0, 7.0)), caption(10, 20), caption(20, 30)]
    assert [(c.start_seconds, c.end_seconds) for c in merge_captions(three)] == [(0, 10), (10, 30)]


def test_merging_in_steps_is_merging_at_once() -> None:
    a, b, c = caption(0, 1, confidence=0.9), caption(1, 4, confidence=0.2), caption(4, 6, confidence=0.6)
    [at_once] = merge_captions([a, b, c])
    [in_steps] = merge_captions([*merge_captions([a, b]), c])
    assert at_once == in_steps
    assert at_once.confidence == pytest.approx((0.9 + 3 * 0.2 + 2 * 0.6) / 6)


def test_a_picture_seen_by_both_is_there_once() -> None:
    a = caption(0, 2, times=(0.5, 1.5), peak=1)
    b = caption(2, 4, times=(1.5, 3.5), peak=0)
    [one] = merge_captions([a, b])
    assert one.times_seconds == (0.5, 1.5, 3.5)
    assert one.words[0].attention == pytest.approx((0.125, 0.75, 0.125))
    assert one.words[0].peak_seconds == 1.5


def test_grids_are_merged_like_attention() -> None:
    grid = ((0.1, 0.4), (0.3, 0.2))
    word = Word(text="runs", attention=(0.5, 0.5), peak_seconds=0.5, grid=grid)
    a = caption(0, 1, text="runs", times=(0.2, 0.7), words=(word,))
    b = caption(1, 2, text="runs", times=(1.2, 1.7), words=(word,))
    [one] = merge_captions([a, b])
    for row, share in zip(one.words[0].grid, one.words[0].attention, strict=True):
        assert sum(row) == pytest.approx(share)
    assert len(one.words[0].grid) == 4


@pytest.mark.parametrize(
    "second",
    [
        caption(1, 2, text="a cat"),
        caption(1.5, 2),
        caption(1, 2, path="b.mp4"),
        caption(1, 2, model="other"),
    ],
)
def test_what_differs_stays_apart(second: Caption) -> None:
    first = caption(0, 1)
    assert list(merge_captions([first, second])) == [first, second]


def test_pictures_are_never_merged() -> None:
    pictures = [caption(0, None), caption(0, None)]
    assert list(merge_captions(pictures)) == pictures


def test_captions_come_as_soon_as_the_next_differs() -> None:
    seen = []

    def arriving() -> object:
        for c in (caption(0, 1), caption(1, 2), caption(2, 3, text="a cat"), caption(3, 4)):
            seen.append(c)
            yield c

    merged = merge_captions(arriving())  # type: ignore[arg-type]
    assert next(merged).end_seconds == 2 and len(seen) == 3


def test_warnings_are_kept_once() -> None:
    a, b = caption(0, 1, warnings=("x", "y")), caption(1, 2, warnings=("y", "z"))
    [one] = merge_captions([a, b])
    assert one.warnings == ("x", "y", "z")


def test_what_was_seen_is_a_mean_over_both_parts() -> None:
    def sight(noun: str, probability: float, peak: float) -> DetectedNoun:
        return DetectedNoun(noun=noun, probability=probability, peak_seconds=peak, used=noun == "cat")

    [merged] = merge_captions(
        [
            caption(0, 2, evidence=(sight("cat", 0.6, 1.0), sight("dog", 0.2, 0.5))),
            caption(2, 8, evidence=(sight("cat", 0.8, 5.0),)),
        ]
    )
    assert [(s.noun, round(s.probability, 4), s.peak_seconds, s.used) for s in merged.evidence] == [
        ("cat", 0.75, 5.0, True),
        ("dog", 0.05, 0.5, False),
    ]
