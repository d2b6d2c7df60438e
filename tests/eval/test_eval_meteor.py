"""METEOR through its jar, and what is said where that cannot run."""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pytest

from captioner.errors import CaptionerError
from captioner.metrics.text import tokenize
from eval.scores import meteor
from eval.scores.statistics import COLUMNS, metric_names, scores

REFERENCES = {
    "cat": ["A cat is drinking milk.", "the cat drinks some milk from a bowl", "A small cat's drinking (milk)"],
    "ball": ["two boys kick a ball", "Boys are playing football in the park"],
    "rain": [
        "It is raining and people don't stop walking",
        "people walk in the rain",
        "a rainy street",
        "people with umbrellas walk down a street",
    ],
    "cook": ["a man is frying an egg", "A man fries an egg in a pan, slowly."],
}
HYPOTHESES = {
    "cat": "a cat is drinking milk from a bowl",
    "ball": "a man is playing football",
    "rain": "people are walking in the rain in the rain",
    "cook": "egg",
}
# pycocoevalcap 1.2
CORPUS = 0.3133524919513205
PER_CLIP = (0.529059933593805, 0.2447787797234902, 0.39430818074335705, 0.11267605633802819)

needs_java = [
    pytest.mark.java,
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java: apt-get install default-jre-headless"),
    pytest.mark.skipif(importlib.util.find_spec("pycocoevalcap") is None, reason="pip install 'captioner[meteor]'"),
]


def java(function):
    for mark in needs_java:
        function = mark(function)
    return function


def ask() -> np.ndarray:
    return meteor.statistics(
        [tokenize(caption) for caption in HYPOTHESES.values()],
        [[tokenize(caption) for caption in REFERENCES[clip]] for clip in HYPOTHESES],
    )


@java
def test_scores_equal_those_recorded_from_pycocoevalcap():
    rows = ask()
    assert float(meteor.score(rows.sum(axis=0))) == pytest.approx(CORPUS, abs=1e-9)
    assert meteor.score(rows) == pytest.approx(PER_CLIP, abs=1e-9)


@java
def test_a_perfect_caption_an_empty_one_and_the_separator(tmp_path):
    tokens = [tokenize(text) for text in ("a dog runs", "", "a ||| dog")]
    rows = meteor.statistics(tokens, [[tokenize("a dog runs")]] * 3)
    values = meteor.score(rows)
    assert values[0] == pytest.approx(1.0) and values[1] == 0 and 0 < values[2] < 1


def test_meteor_gets_its_column_when_it_was_asked_for():
    row = np.zeros(COLUMNS + meteor.COLUMNS)
    # six words, three of them function words, all matched exactly and in one piece
    row[COLUMNS : COLUMNS + 8] = [6, 6, 3, 3, 3, 3, 3, 3]
    row[-2:] = 6
    assert metric_names(len(row))[-1] == "METEOR" and scores(row, 1)[-1] == pytest.approx(1.0)


def test_no_java_is_said_plainly(monkeypatch: pytest.MonkeyPatch):
    if importlib.util.find_spec("pycocoevalcap") is None:
        pytest.skip("pip install 'captioner[meteor]'")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CaptionerError, match=r"METEOR needs Java .* install a Java runtime .* leave --meteor out"):
        ask()


def test_no_pycocoevalcap_is_said_plainly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CaptionerError, match=r"pip install 'captioner\[meteor\]'"):
        ask()
