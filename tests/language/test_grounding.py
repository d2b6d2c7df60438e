"""What the classifier sees reaches the sentence: the noun pointer, the required noun, and nobody."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.caption.parts import to_tensors
from captioner.language.config import SearchConfig
from captioner.language.grounding import (
    NOUN_PRIOR,
    Condition,
    Lexicon,
    clip_nouns,
    ground,
    make_lexicon,
    required_token,
)
from captioner.language.pieces import Pieces
from captioner.language.search import search
from captioner.runtime.beam import beam_search

WORDS = ("a", "man", "is", "riding", "dog", "dogs", "cat", "horse", "bird")
PIECES = Pieces([b"", b"", b"", b"", *(f" {word}".encode() for word in WORDS), b"zeb", b"ra"])
NAMES = ("dog", "cat", "horse", "zebra", "fire truck")
ALIKE = np.eye(5) + np.array(
    [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0.1, 0.2, 0.9, 0, 0], [0.3, 0, 0, 0, 0]]
)
LEXICON = make_lexicon(PIECES, names=NAMES, alike=ALIKE, familiar={"a", "man", "is", "dog", "dogs", "cat"})
DOG, HORSE, ZEBRA, FIRE_TRUCK = 8, 11, 15, 16


def test_a_lexicon_has_a_token_for_every_noun() -> None:
    assert LEXICON.size == len(PIECES) == 15
    assert [NAMES[column] for column in LEXICON.columns] == ["horse", "zebra", "fire truck"]  # dog and cat are familiar
    assert LEXICON.tokens.tolist() == [HORSE, ZEBRA, FIRE_TRUCK]
    assert LEXICON.said.tolist() == [DOG, 9, 10, HORSE]  # the plural too
    assert LEXICON.people.tolist() == [5]
    assert LEXICON.inputs.tolist() == [*range(15), HORSE, DOG]  # the nouns that look most alike
    assert LEXICON.pieces.decode([4, ZEBRA, 6, 7, 4, FIRE_TRUCK]) == "a zebra is riding a fire truck"
    assert [word for word, *_ in LEXICON.pieces.words([4, FIRE_TRUCK])] == ["a", "fire", "truck"]


def slowly(log_probs: np.ndarray, noun_probs: np.ndarray, nobody: bool) -> np.ndarray:
    """:func:`ground` of one hypothesis, token by token."""
    probabilities = [*np.exp(log_probs).tolist(), 0.0, 0.0]
    if nobody:
        rest = 1 - sum(probabilities[token] for token in LEXICON.people)
        probabilities = [0 if i in LEXICON.people else p / rest for i, p in enumerate(probabilities)]
    of_nouns = sum(probabilities[token] for token in LEXICON.said)
    for token in LEXICON.said:
        probabilities[token] *= 1 - 0.9 * noun_probs.sum()
    for token, chance in zip(LEXICON.tokens, noun_probs, strict=True):
        probabilities[token] += of_nouns * 0.9 * chance
    return np.array(probabilities)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=50, deadline=None)
def test_numpy_torch_and_a_loop_agree_and_probabilities_sum_to_one(seed: int, nobody: bool) -> None:
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet(np.ones(15), size=3)).astype(np.float32)
    noun_probs = (rng.dirichlet(np.ones(4))[:3]).astype(np.float32)
    in_numpy = ground(log_probs.copy(), LEXICON, noun_probs=noun_probs, nobody=np.array(nobody))
    in_torch = ground(
        torch.from_numpy(log_probs)[None],
        LEXICON,
        noun_probs=torch.from_numpy(noun_probs)[None],
        nobody=torch.tensor([nobody]),
    )
    np.testing.assert_allclose(in_torch[0].numpy(), in_numpy, rtol=1e-4, atol=1e-5)
    for row, found in zip(log_probs, np.exp(in_numpy), strict=True):
        np.testing.assert_allclose(found, slowly(row, noun_probs, nobody), rtol=1e-4, atol=1e-6)
        assert found.sum() == pytest.approx(1, abs=1e-4)


TABLE = torch.randn(17, 31, 15, generator=torch.Generator().manual_seed(3))


def step(tokens: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    return (2 * TABLE[tokens, state[0][..., 0]]).log_softmax(-1), ((5 * state[0] + tokens[..., None]) % 31,)


def in_numpy(tokens: np.ndarray, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    log_probs, [after] = step(torch.from_numpy(tokens), (torch.from_numpy(state[0]),))
    return log_probs.numpy(), (after.numpy(),)


CONFIG = SearchConfig(beams=4, n_best=4, max_length=8)


def condition(token: int, *, nobody: bool = False) -> Condition:
    """Of numpy arrays."""
    nouns = np.array([0.2, 0.3, 0.0], np.float32)
    return Condition(lexicon=LEXICON, noun_probs=nouns, nobody=np.array(nobody), token=np.array(token))


def found_in_torch(given: Condition) -> list[Any]:
    tensors = {name: torch.as_tensor(getattr(given, name))[None] for name in ("noun_probs", "nobody", "token")}
    batch = Condition(lexicon=to_tensors(LEXICON, torch.device("cpu")), **tensors)
    [found] = search(
        batch.step(step),
        (torch.zeros(1, 1, 1, dtype=torch.long),),
        config=CONFIG,
        bos_id=1,
        eos_id=2,
        banned=(0, 3),
        begins_word=torch.tensor(LEXICON.pieces.begins_word()),
        required=batch.token,
    )
    return found


def found_in_numpy(given: Condition) -> list[Any]:
    return beam_search(
        given.step(in_numpy),
        (np.zeros((1, 1), np.int64),),
        config=CONFIG,
        bos_id=1,
        eos_id=2,
        banned=(0, 3),
        begins_word=np.array(LEXICON.pieces.begins_word()),
        required=int(given.token),
    )


@pytest.mark.parametrize("find", [found_in_torch, found_in_numpy])
@pytest.mark.parametrize("token", [HORSE, ZEBRA])
def test_a_required_noun_is_said_and_scored_like_any_other_word(find: Any, token: int) -> None:
    free, both = find(condition(-1)), find(condition(token))
    assert {h.tokens for h in free} <= {h.tokens for h in both}  # the first beam is as it was
    required = [h for h in both if token in h.tokens]
    assert required and len({h.tokens for h in both}) == len(both)
    for hypothesis in required:
        total, state, last = 0.0, (np.zeros((1, 1), np.int64),), 1
        for said in [*hypothesis.tokens, *[2] * hypothesis.finished]:  # one that was cut has no end token
            log_probs, state = condition(-1).step(in_numpy)(np.array([last]), state)
            total, last = total + float(log_probs[0, said]), said
        assert hypothesis.log_prob == pytest.approx(total, abs=1e-3)
        assert hypothesis.score == pytest.approx(
            total / ((5 + len(hypothesis.tokens) + hypothesis.finished) / 6) ** 0.7, abs=1e-3
        )


@pytest.mark.parametrize("token", [HORSE, ZEBRA, -1])
def test_torch_and_numpy_require_alike(token: int) -> None:
    in_torch, alike = found_in_torch(condition(token)), found_in_numpy(condition(token))
    assert [h.tokens for h in in_torch] == [h.tokens for h in alike]
    assert [h.log_prob for h in in_torch] == pytest.approx([h.log_prob for h in alike], abs=1e-4)


def test_a_required_noun_is_said_where_it_fits_and_not_at_once() -> None:
    """It has a thousandth at the first three places, where four words are likely, and a tenth at the fourth."""
    table = np.full((5, 15), -20.0, np.float32)
    table[:3, 4:8] = np.log(0.249)
    table[:3, HORSE] = np.log(0.001)
    table[3, [4, HORSE]] = np.log([0.9, 0.1])
    table[4, 2] = 0.0

    def place(tokens: np.ndarray, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        return table[np.minimum(state[0][:, 0], 4)], (state[0] + 1,)

    found = beam_search(
        place,
        (np.zeros((1, 1), np.int64),),
        config=CONFIG,
        bos_id=1,
        eos_id=2,
        banned=(),
        begins_word=np.zeros(15, dtype=bool),
        required=HORSE,
    )
    saying = [h for h in found if HORSE in h.tokens]
    assert saying[0].tokens[3] == HORSE and len(saying[0].tokens) == 4


def test_a_clip_that_requires_nothing_is_searched_alike_beside_one_that_does() -> None:
    def found(*required: int) -> list[list[Any]]:
        start = (torch.zeros(len(required), 1, 1, dtype=torch.long),)
        tokens = torch.tensor(required)
        return search(step, start, config=CONFIG, bos_id=1, eos_id=2, banned=(0, 3), required=tokens)

    [alone] = found(-1)
    rare = next(token for token in range(4, 15) if all(token not in h.tokens for h in alone))
    nothing, something = found(-1, rare)
    assert nothing == alone
    assert any(rare in h.tokens for h in something) and set(alone) <= set(something)


@pytest.mark.parametrize("token", [-1, HORSE])
def test_scores_are_plain_numbers_also_of_sentences_that_are_cut(token: int) -> None:
    """JSON takes no float32 of numpy's."""
    cut = dataclasses.replace(CONFIG, min_length=CONFIG.max_length - 1)
    found = beam_search(
        condition(token).step(in_numpy),
        (np.zeros((1, 1), np.int64),),
        config=cut,
        bos_id=1,
        eos_id=2,
        banned=(0, 3),
        begins_word=np.array(LEXICON.pieces.begins_word()),
        required=token,
    )
    assert any(len(sentence.tokens) == cut.max_length for sentence in found)
    assert json.dumps([[sentence.log_prob, sentence.score] for sentence in found])


@pytest.mark.parametrize("find", [found_in_torch, found_in_numpy])
def test_nobody_says_a_person_where_nobody_is(find: Any) -> None:
    assert any(5 in h.tokens for h in find(condition(-1)))
    assert not any(5 in h.tokens for h in find(condition(-1, nobody=True)))


def test_the_likeliest_unfamiliar_noun_is_required_if_it_is_likely_at_all() -> None:
    assert required_token(np.array([0.2, 0.3, 0.0]), LEXICON) == ZEBRA
    assert required_token(np.array([0.9, 0.0, 0.0]), LEXICON) == HORSE
    assert required_token(np.array([NOUN_PRIOR, 0.0, NOUN_PRIOR]), LEXICON) == -1
    empty: dict[str, Any] = {name: np.zeros(0, np.int64) for name in ("columns", "tokens", "said", "people")}
    nothing = Lexicon(names=NAMES, size=15, inputs=np.arange(15), pieces=PIECES, **empty)
    assert required_token(np.zeros(0), nothing) == -1


def test_nouns_of_a_clip_are_means_over_the_frames_that_were_looked_at() -> None:
    frames = np.array([[0.5, 0.2], [0.0, 0.0], [0.7, 0.0]], np.float32)
    np.testing.assert_allclose(clip_nouns(frames, np.array([1.0, 0.5])), [0.6, 0.05])
    np.testing.assert_allclose(clip_nouns(frames, np.array([2.0, 8.0])), [0.6, 0.4])  # never more than 1 in all
    assert not clip_nouns(np.zeros((3, 2), np.float32), np.ones(2)).any()


def test_a_vocabulary_without_nouns_is_left_as_it_is() -> None:
    pieces = Pieces([b"", b"", b"", b"", b" un", b" chien"])
    lexicon = make_lexicon(pieces, names=NAMES, alike=ALIKE, familiar=())
    assert not len(lexicon.columns) and not len(lexicon.people) and len(lexicon.pieces) == 6
    log_probs = np.log(np.full((2, 6), 1 / 6, np.float32))
    same = ground(log_probs.copy(), lexicon, noun_probs=np.zeros(0, np.float32), nobody=np.array(True))
    assert np.array_equal(same, log_probs) and math.isfinite(float(same.sum()))
