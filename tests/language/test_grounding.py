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
    clip_nouns,
    ground,
    likely_actions,
    read_on,
    required_token,
    spelled_out,
)
from captioner.language.lexicon import make_lexicon, says_several
from captioner.language.pieces import Pieces
from captioner.language.search import search
from captioner.runtime.beam import beam_search

WORDS = ("a", "man", "is", "riding", "dog", "dogs", "cat", "horse", "two")
PIECES = Pieces([b"", b"", b"", b"", *(f" {word}".encode() for word in WORDS), b"zeb", b"ra"])
NAMES = ("dog", "cat", "horse", "zebra", "fire truck")
ALIKE = np.eye(5) + np.array(
    [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0.1, 0.2, 0.9, 0, 0], [0.3, 0, 0, 0, 0]]
)
FAMILIAR = {"a", "man", "is", "dog", "dogs", "cat"}
MAN, IS, RIDING, DOG, HORSE, TWO, ZEBRA, FIRE_TRUCK, RIDING_A_HORSE = 5, 6, 7, 8, 11, 12, 15, 16, 17
LEXICON = make_lexicon(PIECES, names=NAMES, alike=ALIKE, familiar=FAMILIAR, actions=[(RIDING, 4, HORSE), (RIDING,)])


def test_a_lexicon_has_a_token_for_every_noun() -> None:
    assert LEXICON.size == len(PIECES) == 15
    assert [NAMES[column] for column in LEXICON.columns] == ["horse", "zebra", "fire truck"]  # dog and cat are familiar
    assert LEXICON.tokens.tolist() == [HORSE, ZEBRA, FIRE_TRUCK]
    assert LEXICON.said.tolist() == [DOG, 9, 10, HORSE]  # the plural too
    assert LEXICON.people.tolist() == [5] and LEXICON.several.tolist() == [TWO]
    assert LEXICON.inputs.tolist() == [*range(15), HORSE, DOG, RIDING]  # the nouns that look most alike
    assert LEXICON.pieces.decode([4, ZEBRA, 6, 7, 4, FIRE_TRUCK]) == "a zebra is riding a fire truck"
    assert [word for word, *_ in LEXICON.pieces.words([4, FIRE_TRUCK])] == ["a", "fire", "truck"]


def test_a_lexicon_has_a_token_for_every_action() -> None:
    assert LEXICON.acts.tolist() == [RIDING_A_HORSE, RIDING]
    assert LEXICON.rest.tolist() == [[4, HORSE]]
    assert LEXICON.verbs.tolist() == [RIDING] and LEXICON.being.tolist() == [IS]
    assert LEXICON.pieces.decode([4, 5, IS, RIDING_A_HORSE]) == "a man is riding a horse"


def test_a_lexicon_knows_which_tokens_name_the_same_thing() -> None:
    kinds = LEXICON.kinds
    assert LEXICON.named.tolist() == [MAN, DOG, 9, 10, HORSE, ZEBRA, RIDING_A_HORSE]
    assert kinds[MAN] < 0 < kinds[DOG] == kinds[9] != kinds[HORSE] == kinds[RIDING_A_HORSE]  # "dogs"
    pieces = Pieces([b"", b"", b"", b"", b" bike", b" bicycles", b"bike"])
    said = make_lexicon(pieces, names=["bicycle", "dirt bike"], alike=np.eye(2), familiar=()).kinds.tolist()
    assert said == [0, 0, 0, 0, 1, 1, 0]


def slowly(
    log_probs: np.ndarray,
    noun_probs: np.ndarray,
    action_probs: np.ndarray,
    acting: bool,
    nobody: bool,
    alone: bool,
) -> np.ndarray:
    """:func:`ground` of one hypothesis, token by token."""
    probabilities = [*np.exp(log_probs).tolist(), 0.0, 0.0, 0.0]
    for unsaid in [LEXICON.people] * nobody + [LEXICON.several] * alone:
        rest = 1 - sum(probabilities[token] for token in unsaid)
        probabilities = [0 if i in unsaid else p / rest for i, p in enumerate(probabilities)]
    of_nouns = sum(probabilities[token] for token in LEXICON.said)
    for token in LEXICON.said:
        probabilities[token] *= 1 - 0.9 * noun_probs.sum()
    for token, chance in zip(LEXICON.tokens, noun_probs, strict=True):
        probabilities[token] += of_nouns * 0.9 * chance
    if acting:
        of_verbs = probabilities[RIDING]
        probabilities[RIDING] *= 1 - 0.9 * action_probs.sum()
        for token, chance in zip(LEXICON.acts, action_probs, strict=True):
            probabilities[token] += of_verbs * 0.9 * chance
    return np.array(probabilities)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_numpy_torch_and_a_loop_agree_and_probabilities_sum_to_one(seed: int, nobody: bool, alone: bool) -> None:
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet(np.ones(15), size=3)).astype(np.float32)
    noun_probs = (rng.dirichlet(np.ones(4))[:3]).astype(np.float32)
    action_probs = rng.dirichlet(np.ones(3))[:2].astype(np.float32)
    acting = rng.random(3) < 0.5
    said = rng.random((3, len(LEXICON.named))) < 0.3
    in_numpy = ground(
        log_probs.copy(),
        LEXICON,
        noun_probs=noun_probs,
        action_probs=action_probs,
        acting=acting,
        nobody=np.array(nobody),
        alone=np.array(alone),
        said=said,
    )
    in_torch = ground(
        torch.from_numpy(log_probs)[None],
        LEXICON,
        noun_probs=torch.from_numpy(noun_probs)[None],
        action_probs=torch.from_numpy(action_probs)[None],
        acting=torch.from_numpy(acting)[None],
        nobody=torch.tensor([nobody]),
        alone=torch.tensor([alone]),
        said=torch.from_numpy(said)[None],
    )
    np.testing.assert_allclose(in_torch[0].numpy(), in_numpy, rtol=1e-4, atol=1e-5)
    for row, acts, barred, found in zip(log_probs, acting, said, np.exp(in_numpy), strict=True):
        expected = slowly(row, noun_probs, action_probs, bool(acts), nobody, alone)
        assert expected.sum() == pytest.approx(1, abs=1e-4)
        expected[LEXICON.named[barred]] = 0
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


TABLE = torch.randn(15, 31, 15, generator=torch.Generator().manual_seed(3))


def step(tokens: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    return (2 * TABLE[tokens, state[0][..., 0]]).log_softmax(-1), ((5 * state[0] + tokens[..., None]) % 31,)


def in_numpy(tokens: np.ndarray, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    log_probs, [after] = step(torch.from_numpy(tokens), (torch.from_numpy(state[0]),))
    return log_probs.numpy(), (after.numpy(),)


CONFIG = SearchConfig(beams=4, n_best=4, max_length=8)


def condition(token: int, *, nobody: bool = False, alone: bool = False, riding: float = 0.0) -> Condition:
    """Of numpy arrays."""
    return Condition(
        lexicon=LEXICON,
        noun_probs=np.array([0.2, 0.3, 0.0], np.float32),
        action_probs=np.array([riding, 0.0], np.float32),
        nobody=np.array(nobody),
        alone=np.array(alone),
        token=np.array(token),
    )


def found_in_torch(given: Condition) -> list[Any]:
    names = ("noun_probs", "action_probs", "nobody", "alone", "token")
    tensors = {name: torch.as_tensor(getattr(given, name))[None] for name in names}
    batch = Condition(lexicon=to_tensors(LEXICON, torch.device("cpu")), **tensors)
    [found] = search(
        batch.step(step),
        batch.start((torch.zeros(1, 1, 1, dtype=torch.long),)),
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
        given.start((np.zeros((1, 1), np.int64),)),
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
        total, state, last = 0.0, condition(-1).start((np.zeros((1, 1), np.int64),)), 1
        for said in [*hypothesis.tokens, *[2] * hypothesis.finished]:  # one that was cut has no end token
            log_probs, state = condition(-1).step(in_numpy)(np.array([last]), state)
            total, last = total + float(log_probs[0, said]), said
        assert hypothesis.log_prob == pytest.approx(total, abs=1e-3)
        assert hypothesis.score == pytest.approx(
            total / ((5 + len(hypothesis.tokens) + hypothesis.finished) / 6) ** 0.7, abs=1e-3
        )


@pytest.mark.parametrize("riding", [0.0, 0.9])
@pytest.mark.parametrize("token", [HORSE, ZEBRA, -1])
def test_torch_and_numpy_search_alike(token: int, riding: float) -> None:
    in_torch, alike = (find(condition(token, riding=riding)) for find in (found_in_torch, found_in_numpy))
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
        condition(token).start((np.zeros((1, 1), np.int64),)),
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
def test_a_detected_action_is_said_of_a_person_after_is_as_one_word(find: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = TABLE.clone()
    table[1, :, [MAN, DOG]] += 2  # often begin a sentence
    table[[MAN, DOG], :, IS] += 3
    table[IS, :, RIDING] += 2
    monkeypatch.setitem(globals(), "TABLE", table)
    assert not any(RIDING_A_HORSE in h.tokens for h in find(condition(-1)))
    acting = condition(-1, riding=0.9)
    said = [h for h in find(acting) if RIDING_A_HORSE in h.tokens]
    assert said
    for hypothesis in said:
        place = hypothesis.tokens.index(RIDING_A_HORSE)
        assert MAN in hypothesis.tokens[:place] and hypothesis.tokens[place - 1] == IS
    assert any(DOG in h.tokens and IS in h.tokens for h in find(acting))


@pytest.mark.parametrize("find", [found_in_torch, found_in_numpy])
@pytest.mark.parametrize("first", [MAN, HORSE])
def test_nothing_is_named_twice(find: Any, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = TABLE.clone()
    table[:, :, first] += 2
    monkeypatch.setitem(globals(), "TABLE", table)
    for hypothesis in find(condition(ZEBRA, riding=0.9)):
        named = [LEXICON.kinds[token] for token in hypothesis.tokens if LEXICON.kinds[token]]
        assert len(named) == len(set(named))


def test_the_decoder_reads_an_action_piece_by_piece_beside_another_hypothesis() -> None:
    start = (np.array([[3], [5]], np.int64),)
    tokens = np.array([RIDING_A_HORSE, DOG])
    log_probs, after = read_on(in_numpy, tokens, *in_numpy(LEXICON.inputs[tokens], start), lexicon=LEXICON)
    slow: tuple[np.ndarray, ...] = (start[0][:1],)
    for piece in (RIDING, 4, HORSE):
        expected, slow = in_numpy(np.array([piece]), slow)
    assert LEXICON.within.tolist() == [13, 14]  # "zeb", "ra"
    expected[:, LEXICON.within] = -np.inf  # no "riding a horsera"
    of_dog, dog = in_numpy(np.array([DOG]), (start[0][1:],))
    np.testing.assert_array_equal(log_probs, np.concatenate([expected, of_dog]))
    np.testing.assert_array_equal(after[0], np.concatenate([slow[0], dog[0]]))


def test_a_sentence_is_spelled_out_and_of_two_that_become_the_same_one_is_left() -> None:
    found = found_in_numpy(condition(-1))[:3]
    said = [
        dataclasses.replace(sentence, tokens=tokens)
        for sentence, tokens in zip(
            found, [(IS, RIDING_A_HORSE, DOG), (IS, RIDING, 4, HORSE, DOG), (DOG,)], strict=True
        )
    ]
    spelled = spelled_out(said, LEXICON)
    assert [sentence.tokens for sentence in spelled] == [(IS, RIDING, 4, HORSE, DOG), (DOG,)]
    assert spelled[0] == dataclasses.replace(found[0], tokens=spelled[0].tokens)


def test_actions_that_are_likelier_than_not_count() -> None:
    np.testing.assert_array_equal(likely_actions(np.array([0.2, 0.5, 0.9])), np.array([0, 0.5, 0.9], np.float32))


@pytest.mark.parametrize("find", [found_in_torch, found_in_numpy])
def test_nobody_says_a_person_where_nobody_is(find: Any) -> None:
    assert any(5 in h.tokens for h in find(condition(-1)))
    assert not any(5 in h.tokens for h in find(condition(-1, nobody=True)))


def test_one_alone_is_not_said_to_be_two() -> None:
    given, state = np.array([1]), (np.zeros(1, np.int64),)
    for alone in (False, True):
        given_alone = condition(-1, alone=alone)
        log_probs, _ = given_alone.step(in_numpy)(given, given_alone.start(state))
        assert np.isinf(log_probs[0, TWO]) == alone
        assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("sentence", "several"),
    [
        ("two dogs are running", True),
        ("a group of people are dancing", True),
        ("a man and a woman are walking", True),
        ("a man is talking to people", False),
        ("a black and white dog is running with a man", False),
        ("a man", False),
        ("", False),
    ],
)
def test_sentences_about_several(sentence: str, several: bool) -> None:
    assert says_several(sentence.split()) == several


def test_the_likeliest_unfamiliar_noun_is_required_if_it_is_likely_at_all() -> None:
    assert required_token(np.array([0.2, 0.3, 0.0]), LEXICON) == ZEBRA
    assert required_token(np.array([0.9, 0.0, 0.0]), LEXICON) == HORSE
    assert required_token(np.array([NOUN_PRIOR, 0.0, NOUN_PRIOR]), LEXICON) == -1
    nothing = make_lexicon(Pieces([b""] * 4), names=(), alike=np.zeros((0, 0)), familiar=())
    assert required_token(np.zeros(0), nothing) == -1


def test_nouns_of_a_clip_are_means_over_the_frames_that_were_looked_at() -> None:
    frames = np.array([[0.5, 0.2], [0.0, 0.0], [0.7, 0.0]], np.float32)
    np.testing.assert_allclose(clip_nouns(frames, np.array([1.0, 0.5])), [0.6, 0.05])
    np.testing.assert_allclose(clip_nouns(frames, np.array([2.0, 8.0])), [0.6, 0.4])  # never more than 1 in all
    assert not clip_nouns(np.zeros((3, 2), np.float32), np.ones(2)).any()


@pytest.mark.parametrize("lib", [np.array, torch.tensor])
def test_a_lexicon_may_add_more_tokens_than_the_decoder_has(lib: Any) -> None:
    names = ["dog", *(f"noun{number}" for number in range(20))]
    lexicon = make_lexicon(Pieces([b"", b"", b"", b"", b" dog", b" man"]), names=names, alike=np.eye(21), familiar=())
    probabilities = ground(
        lib(np.log(np.full((1, 6), 1 / 6, np.float32))),
        lexicon,
        noun_probs=lib(np.full(21, 1 / 42, np.float32)),
        action_probs=lib(np.zeros(0, np.float32)),
        acting=lib(np.zeros(1, bool)),
        nobody=lib(np.array(True)),
        alone=lib(np.array(True)),
        said=lib(np.zeros((1, len(lexicon.named)), bool)),
    )
    assert probabilities.shape == (1, 26)
    assert float(np.exp(np.asarray(probabilities)).sum()) == pytest.approx(1, abs=1e-4)


def test_a_vocabulary_without_nouns_is_left_as_it_is() -> None:
    pieces = Pieces([b"", b"", b"", b"", b" un", b" chien"])
    lexicon = make_lexicon(pieces, names=NAMES, alike=ALIKE, familiar=())
    assert not len(lexicon.columns) and not len(lexicon.people) and len(lexicon.pieces) == 6
    log_probs = np.log(np.full((2, 6), 1 / 6, np.float32))
    nothing = np.zeros(0, np.float32)
    same = ground(
        log_probs.copy(),
        lexicon,
        noun_probs=nothing,
        action_probs=nothing,
        acting=np.ones(2, bool),
        nobody=np.array(True),
        alone=np.array(True),
        said=np.zeros((2, len(lexicon.named)), bool),
    )
    assert np.array_equal(same, log_probs) and math.isfinite(float(same.sum()))
