"""What was observed in a clip becomes the condition of the search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from captioner.caption.telling import Evidence, Wording
from captioner.language.config import SearchConfig
from captioner.language.lexicon import make_lexicon
from captioner.language.pieces import Pieces
from captioner.vision.nouns import nouns

NAMES = [noun.name for noun in nouns()]
PIECES = Pieces([b"", b"", b"", b"", b" man", b" men", b" dog"])
WORDING = Wording(
    pieces=PIECES,
    reranker=None,
    calibration=None,
    fingerprint="",
    lexicon=make_lexicon(PIECES, names=NAMES, alike=np.eye(len(NAMES)), familiar=(), actions=[(4,)]),
    reliability=np.ones(len(NAMES), np.float32),
)


def seen(noun: str, probability: float) -> Evidence:
    frames = np.zeros((4, len(NAMES)), np.float32)  # of four frames the classifier looked at two
    frames[::2, NAMES.index(noun)] = probability
    return Evidence(noun_probs=frames, word_probs=None, reliability=WORDING.reliability)


@pytest.mark.parametrize(
    ("noun", "probability", "person", "nobody"),
    [("dog", 0.9, 0.7, True), ("dog", 0.9, 0.85, False), ("dog", 0.4, 0.7, False), ("car", 0.9, 0.7, False)],
)
def test_beside_an_animal_a_person_must_be_surer(noun: str, probability: float, person: float, nobody: bool) -> None:
    condition = WORDING.condition(replace(seen(noun, probability), people_prob=person), SearchConfig())
    assert condition is not None and condition.nobody == nobody


@pytest.mark.parametrize(("acting", "nobody"), [(0.4, True), (0.6, False)])
def test_an_action_beside_an_animal_makes_a_person_sure_enough(acting: float, nobody: bool) -> None:
    evidence = replace(seen("dog", 0.9), people_prob=0.7, action_probs=np.array([acting], np.float32))
    condition = WORDING.condition(evidence, SearchConfig())
    assert condition is not None and condition.nobody == nobody
    assert condition.action_probs == pytest.approx([0 if nobody else acting])


@pytest.mark.parametrize(("several", "alone"), [(None, False), (0.1, True), (0.3, False)])
def test_several_are_said_unless_they_are_unlikely(several: float | None, alone: bool) -> None:
    condition = WORDING.condition(replace(seen("dog", 0.9), several_prob=several), SearchConfig())
    assert condition is not None and condition.alone == alone
