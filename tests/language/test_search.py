"""Beam search against exhaustive search, against a slow obvious one, by its properties, and at its edges."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.hypothesis import Hypothesis
from captioner.language.sampling import draw
from captioner.language.search import State, Step, length_penalty, search
from tests.oracle import PrefixModel, exhaustive, slow_beam

BOS, EOS = 0, 1
NOWHERE = -math.inf


def find(model: PrefixModel, *clips: int, config: SearchConfig, banned: tuple[int, ...] = (BOS,)):
    return search(model.step, model.start(*clips), config=config, bos_id=BOS, eos_id=EOS, banned=banned)


def chain(rows: list[list[float]]) -> Step:
    """A step whose probabilities depend on the last token alone: ``rows[token]``."""
    log_probs = torch.tensor(rows).log()
    return lambda tokens, state: (log_probs[tokens], state)


def find_in(
    rows: list[list[float]], *, banned: tuple[int, ...] = (), begins_word: torch.Tensor | None = None, **options
) -> list[Hypothesis]:
    start: State = (torch.zeros(1, 1),)
    config = SearchConfig(**{"no_repeat_ngram": 0, **options})
    return search(chain(rows), start, config=config, bos_id=BOS, eos_id=EOS, banned=banned, begins_word=begins_word)[0]


@st.composite
def configs(draw: st.DrawFn) -> SearchConfig:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    beams = groups * draw(st.integers(1, 5))
    max_length = draw(st.integers(1, 6))
    return SearchConfig(
        beams=beams,
        groups=groups,
        diversity=draw(st.sampled_from([0.0, 0.3, 2.0, 50.0])),
        max_length=max_length,
        min_length=draw(st.integers(0, max_length - 1)),
        length_penalty=draw(st.sampled_from([0.0, 0.7, 1.0, 2.0, -1.0])),
        no_repeat_ngram=draw(st.sampled_from([0, 0, 1, 2, 3])),
        n_best=draw(st.integers(1, beams)),
    )


models = st.builds(
    PrefixModel,
    st.integers(3, 7),
    seed=st.integers(0, 10**6),
    sharpness=st.sampled_from([0.3, 1.5, 4.0]),
    holes=st.sampled_from([0.0, 0.3, 0.7]),  # tokens that are impossible, and rows of NaN
)
bans = st.sampled_from([(), (BOS,), (BOS, 2), (BOS, EOS)])
three_clips = st.tuples(*[st.integers(0, 1000)] * 3)


# --- by hand --------------------------------------------------------------------------------------------------------

GARDEN_PATH = [  # next:  bos, eos, 2, 3.  Token 2 starts better, but 3 ends better.
    [0, 0, 0.6, 0.4],
    [0, 1, 0, 0],
    [0, 0.5, 0.25, 0.25],
    [0, 0.9, 0.05, 0.05],
]


def test_two_beams_find_what_greedy_search_misses() -> None:
    [greedy] = find_in(GARDEN_PATH, beams=1, length_penalty=0.0)
    beam = find_in(GARDEN_PATH, beams=2, n_best=2, length_penalty=0.0)
    assert greedy.tokens == (2,)
    assert [h.tokens for h in beam] == [(3,), (2,)]
    assert [h.log_prob for h in beam] == pytest.approx([math.log(0.36), math.log(0.3)])
    assert beam[0].token_log_probs == pytest.approx((math.log(0.4), math.log(0.9)))


def test_the_score_is_the_log_prob_over_the_length_penalty_of_gnmt() -> None:
    [best] = find_in(GARDEN_PATH, beams=2, length_penalty=0.7)
    assert best.score == pytest.approx(math.log(0.36) / ((5 + 2) / 6) ** 0.7)  # two tokens: eos counts
    assert length_penalty(1, 0.7) == 1.0


def test_a_larger_length_penalty_prefers_longer_sentences() -> None:
    rows = [[0, 0, 1.0], [0, 1, 0], [0, 0.3, 0.7]]  # how often to say "2"
    found = [find_in(rows, beams=8, max_length=8, length_penalty=alpha)[0] for alpha in (-4.0, 0.0, 1.0, 2.0, 4.0)]
    lengths = [len(h.tokens) for h in found]
    assert lengths == sorted(lengths)
    assert lengths[0] == 1 and lengths[-1] == 7


# --- against exhaustive search and a slow one -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "options",
    [
        {"length_penalty": 0.0},
        {"length_penalty": 0.7, "no_repeat_ngram": 1},
        {"length_penalty": 2.0, "min_length": 2},
        {"length_penalty": -1.0, "no_repeat_ngram": 2},
    ],
)
def test_a_beam_as_wide_as_the_tree_is_exhaustive(seed: int, options: dict) -> None:
    model = PrefixModel(5, seed=seed)
    width = 3**3 * 4  # three words that may come three times, then any of four tokens
    config = SearchConfig(**{"min_length": 0, "max_length": 4, **options}, beams=width, n_best=width)
    everything = exhaustive(model.step, model.start(seed), config=config, bos_id=BOS, eos_id=EOS, banned=(BOS,))
    assert len(everything) >= 10
    [found] = find(model, seed, config=config)
    assert [h for h in found if h.finished] == everything


@settings(max_examples=150, deadline=None, derandomize=True)
@given(models, configs(), bans, three_clips, st.lists(st.booleans(), min_size=7, max_size=7))
def test_equals_the_slow_search_that_never_stops_early(model, config, banned, clips, begins_word) -> None:
    options = {"config": config, "bos_id": BOS, "eos_id": EOS, "banned": banned}
    slow = [slow_beam(model.step, model.start(clip), **options, begins_word=begins_word) for clip in clips]
    assert search(model.step, model.start(*clips), **options, begins_word=torch.tensor(begins_word)) == slow


def test_no_word_comes_twice_in_a_row() -> None:
    """Tokens: bos, eos, 2 begins a word, 3 goes on with it. The model would say 2 2 2 ... or 2 3 2 3 ..."""
    begins_word = torch.tensor([False, False, True, False])
    [red] = find_in([[0, 0, 1, 0], [0, 1, 0, 0], [0, 0.1, 0.9, 0], [0, 1, 0, 0]], beams=2, begins_word=begins_word)
    assert red.tokens == (2,)
    rows = [[0, 0, 1, 0], [0, 1, 0, 0], [0, 0.04, 0.01, 0.95], [0, 0.1, 0.6, 0.3]]
    options = {"beams": 1, "min_length": 4, "begins_word": begins_word}
    [allowed] = find_in(rows, **options, no_repeat_word=False)
    assert allowed.tokens[:4] == (2, 3, 2, 3)
    [snorkel] = find_in(rows, **options)
    assert snorkel.tokens == (2, 3, 2)  # neither 3 nor another 2 may follow: the sentence is cut


@settings(max_examples=100, deadline=None, derandomize=True)
@given(models, st.integers(0, 1000), st.integers(1, 3), st.sampled_from([0, 1, 2]))
def test_no_beam_beats_exhaustive_search_and_the_full_width_reaches_it(model, clip, max_length, ngram) -> None:
    """What is true of more beams: never above the best there is, and from the full width on, always there.

    In between, beam search is not monotone: a wider beam can drop what a narrower one kept.
    """
    options = {"length_penalty": 0.0, "min_length": 0, "max_length": max_length, "no_repeat_ngram": ngram}
    config = SearchConfig(**options)
    everything = exhaustive(model.step, model.start(clip), config=config, bos_id=BOS, eos_id=EOS, banned=(BOS,))
    full = model.vocabulary**max_length
    for beams in (1, 2, 3, 5, full, full + 1, 2 * full):
        [[best]] = find(model, clip, config=SearchConfig(**options, beams=beams))
        if not everything:
            assert not best.finished
        elif beams >= full:
            assert best == everything[0]
        else:
            assert not best.finished or best.log_prob <= everything[0].log_prob


@pytest.mark.parametrize("seed", range(20))
def test_one_beam_is_greedy_search(seed: int) -> None:
    model = PrefixModel(9, seed=seed)
    tokens, total = [], 0.0
    last, state = BOS, model.start(seed)
    while len(tokens) < 12:
        log_probs, state = model.step(torch.tensor([[last]]), state)
        log_probs[..., BOS] = NOWHERE
        if not tokens:
            log_probs[..., EOS] = NOWHERE  # min_length 1
        last = int(log_probs.argmax())
        total += float(log_probs.max())
        if last == EOS:
            break
        tokens.append(last)
    [[found]] = find(model, seed, config=SearchConfig(beams=1, max_length=12, no_repeat_ngram=0))
    assert found.tokens == tuple(tokens)
    assert found.finished == (last == EOS)
    assert found.log_prob == pytest.approx(total, abs=1e-5)


# --- properties -----------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None, derandomize=True)
@given(models, configs(), bans, three_clips)
def test_what_holds_for_every_list(model, config, banned, clips) -> None:
    for clip, found in zip(clips, find(model, *clips, config=config, banned=banned), strict=True):
        assert 1 <= len(found) <= config.n_best
        assert len({h.tokens for h in found}) == len(found), "distinct"
        assert [h.finished for h in found] == sorted((h.finished for h in found), reverse=True)
        for finished in (True, False):
            scores = [h.score for h in found if h.finished == finished]
            assert scores == sorted(scores, reverse=True)
        for h in found:
            assert EOS not in h.tokens
            assert not ({*banned} - {EOS}) & {*h.tokens}
            assert len(h.token_log_probs) == len(h.tokens) + h.finished <= config.max_length
            assert not h.finished or len(h.tokens) >= config.min_length
            size = config.no_repeat_ngram
            grams = [h.tokens[i : i + size] for i in range(len(h.tokens) - size + 1)] if size else []
            assert len(set(grams)) == len(grams)
            assert h.token_log_probs == pytest.approx(rescore(model, clip, h), abs=1e-6)
            assert h.log_prob == pytest.approx(sum(h.token_log_probs), abs=1e-4)
            penalty = length_penalty(len(h.token_log_probs), config.length_penalty) if h.token_log_probs else 1
            assert h.score == pytest.approx(h.log_prob / penalty, rel=1e-5)


def rescore(model: PrefixModel, clip: int, hypothesis: Hypothesis) -> list[float]:
    """The model's log-probabilities of the hypothesis, token by token."""
    tokens = [*hypothesis.tokens, *[EOS] * hypothesis.finished]
    found, state = [], model.start(clip)
    for before, token in zip([BOS, *tokens], tokens, strict=False):
        log_probs, state = model.step(torch.tensor([[before]]), state)
        found.append(float(log_probs[0, 0, token]))
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(models, configs(), st.lists(st.integers(0, 1000), min_size=1, max_size=9), st.sampled_from([0.0, 0.0, 1.3]))
def test_a_batch_is_its_clips_one_by_one(model, config, clips, temperature) -> None:
    if temperature and config.groups > 1:
        temperature = 0.0
    options = {field: getattr(config, field) for field in config.__dataclass_fields__}
    config = SearchConfig(**{**options, "temperature": temperature, "top_p": 0.9 if temperature else 1.0})
    together = find(model, *clips, config=config)
    assert together == [find(model, clip, config=config)[0] for clip in clips]


def test_no_clips_give_no_lists() -> None:
    assert find(PrefixModel(5), config=SearchConfig()) == []
    assert find(PrefixModel(5), config=SearchConfig(temperature=1.0)) == []


# --- where it ends --------------------------------------------------------------------------------------------------


def count_steps(rows: list[list[float]], **options) -> int:
    calls = 0

    def step(tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        nonlocal calls
        calls += 1
        return chain(rows)(tokens, state)

    search(step, (torch.zeros(1, 1),), config=SearchConfig(**options), bos_id=BOS, eos_id=EOS)
    return calls


def test_stops_as_soon_as_nothing_better_can_come() -> None:
    rows = [[0, 0, 0.9, 0.1], [0, 1, 0, 0], [0, 0.9, 0.06, 0.04], [0, 0.9, 0.06, 0.04]]
    # After two steps "2" has 0.81, "3" 0.09 and the likeliest that runs, "2 2", 0.054.
    for alpha in (0.0, 1.0, -1.0):  # log 0.054 / (55 / 6) is still below log 0.81 / (7 / 6)
        assert count_steps(rows, beams=4, max_length=50, length_penalty=alpha) == 2
    # With alpha 2, "2 2" could reach -2.9 / 84 by length 50, which is above -0.21 / 1.36; by length 10 it could not.
    assert count_steps(rows, beams=4, max_length=50, length_penalty=2.0) > 2
    assert count_steps(rows, beams=4, max_length=10, length_penalty=2.0) == 2
    # Two have ended, so two can be had; for three the search goes on.
    assert count_steps(rows, beams=4, n_best=2, max_length=50, length_penalty=0.0) == 2
    assert count_steps(rows, beams=4, n_best=3, max_length=50, length_penalty=0.0) == 3


def test_goes_on_while_a_longer_sentence_can_win_although_length_is_punished() -> None:
    rows = [[0, 0, 0.47, 0.53, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]]
    options = {"beams": 2, "max_length": 50, "length_penalty": -1.0}
    # After two steps "2" has log 0.47 * 7/6 = -0.88, and "3 4" can have log 0.53 * 8/6 = -0.85 if it ends at once.
    assert count_steps(rows, **options) == 3
    assert [h.tokens for h in find_in(rows, **options)] == [(3, 4)]


def test_greedy_search_stops_at_eos_whatever_the_penalty() -> None:
    rows = [[0, 0, 0.9, 0.1], [0, 1, 0, 0], [0, 0.6, 0.4, 0], [0, 1, 0, 0]]
    assert count_steps(rows, beams=1, max_length=50, length_penalty=5.0) == 2


def test_cut_hypotheses_come_only_where_too_few_ended() -> None:
    rows = [[0, 0, 0.7, 0.3], [0, 1, 0, 0], [0, 0.12, 0.8, 0.08], [0, 0.1, 0.1, 0.8]]
    found = find_in(rows, beams=4, n_best=4, max_length=2, length_penalty=0.0)
    assert [(h.tokens, h.finished) for h in found] == [
        ((2,), True),  # 0.084: the least likely of the four, but it ended
        ((2, 2), False),
        ((3, 3), False),
        ((2, 3), False),
    ]
    assert [h.tokens for h in find_in(rows, beams=4, max_length=2, length_penalty=0.0)] == [(2,)]


def test_what_is_cut_at_max_length_has_its_score() -> None:
    [only] = find_in([[0, 0, 0.7, 0.3]] * 4, beams=3, max_length=3, length_penalty=0.7)
    assert only.tokens == (2, 2, 2) and not only.finished and len(only.token_log_probs) == 3
    assert only.log_prob == pytest.approx(3 * math.log(0.7))
    assert only.score == pytest.approx(only.log_prob / (8 / 6) ** 0.7)


def test_where_nothing_is_possible_any_more_the_hypothesis_is_cut() -> None:
    rows = [[0, 0, 1.0], [0, 1, 0], [0, 0.5, 0.5]]
    for temperature in (0.0, 1.0):  # one word to say, which may not come twice, and eos comes too early
        [only] = find_in(rows, beams=3, max_length=9, min_length=5, no_repeat_ngram=1, temperature=temperature)
        assert only.tokens == (2,) and not only.finished
    [nothing] = find_in(rows, beams=3, banned=(2,))
    assert nothing == Hypothesis((), 0.0, 0.0, False, ())


def test_a_token_that_is_not_a_number_counts_as_impossible() -> None:
    log_probs = torch.tensor([math.nan, -0.5, math.nan, -1.5, math.inf]).expand(2, 3, 5)
    for beams in (1, 3):
        config = SearchConfig(beams=beams, max_length=3, length_penalty=0.0)
        found = search(
            lambda tokens, state: (log_probs[:, : tokens.shape[1]], state),
            (torch.zeros(2, 1),),
            config=config,
            bos_id=BOS,
            eos_id=EOS,
        )
        assert [[h.tokens for h in hypotheses] for hypotheses in found] == [[(3,)], [(3,)]]
        assert found[0][0].log_prob == -2.0


def test_the_probabilities_of_the_model_are_left_alone() -> None:
    model = PrefixModel(6)
    before = model.table.clone()
    for temperature in (0.0, 1.0):
        log_probs = model.table[:1, None]  # a view, returned as it is
        config = SearchConfig(beams=1, min_length=2, no_repeat_ngram=1, temperature=temperature)
        search(lambda _, state, view=log_probs: (view, state), model.start(3), config=config, bos_id=BOS, eos_id=EOS)
    assert torch.equal(model.table, before)


def test_eos_may_also_be_bos_and_banned() -> None:  # as in GPT-2, where one token is bos, eos and pad
    model = PrefixModel(6)
    config = SearchConfig(beams=4, max_length=5)
    [[found]] = search(model.step, model.start(3), config=config, bos_id=EOS, eos_id=EOS, banned=(EOS,))
    assert found.finished and EOS not in found.tokens


# --- diverse groups -------------------------------------------------------------------------------------------------


def test_groups_begin_with_other_words_when_repeating_costs_much() -> None:
    for clip in range(20):
        config = SearchConfig(beams=6, groups=3, n_best=3, diversity=100.0)
        [found] = find(PrefixModel(9), clip, config=config)  # seven words to begin with
        assert len({h.tokens[0] for h in found}) == 3


def test_groups_without_diversity_are_the_same_beam_again() -> None:
    model = PrefixModel(9)
    for clip in range(20):
        [once] = find(model, clip, config=SearchConfig(beams=3, n_best=3))
        [thrice] = find(model, clip, config=SearchConfig(beams=9, groups=3, diversity=0.0, n_best=3))
        assert once == thrice


def test_the_first_group_pays_nothing() -> None:
    model = PrefixModel(9)
    for clip in range(20):
        [[alone]] = find(model, clip, config=SearchConfig(beams=2))
        [best, *_] = find(model, clip, config=SearchConfig(beams=6, groups=3, diversity=5.0, n_best=3))[0]
        assert best.score >= alone.score


@pytest.mark.parametrize("likely", [0, 2, 3])
def test_a_group_that_has_ended_costs_the_others_nothing(likely: int) -> None:
    after = [0.2, 0.0, 0.2, 0.2]  # here bos is a word as well
    after[likely] = 0.6
    rows = [[0, 0.6, 0.4, 0], [0, 1, 0, 0], after, [0, 1, 0, 0]]
    options = {"beams": 2, "groups": 2, "n_best": 2, "diversity": 100.0, "min_length": 0, "max_length": 2}
    assert [h.tokens for h in find_in(rows, **options)] == [(), (2, likely)]


# --- sampling -------------------------------------------------------------------------------------------------------


def sample(model: PrefixModel, *clips: int, seeds: tuple[int, ...] = (), **options) -> list[list[Hypothesis]]:
    config = SearchConfig(
        **{"temperature": 1.0, "n_best": options["beams"], "max_length": 4, "min_length": 0, **options}
    )
    start = model.start(*clips)
    return search(model.step, start, config=config, bos_id=BOS, eos_id=EOS, banned=(BOS,), seeds=seeds)


def frequencies(found: list[list[Hypothesis]]) -> Counter[tuple[int, ...]]:
    return Counter(h.tokens for hypotheses in found for h in hypotheses if h.finished)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_samples_come_as_often_as_they_are_likely(temperature: float) -> None:
    """8,000 draws against the probability of every sentence; bos is banned, so the others share its part."""
    model = PrefixModel(5, seed=3)
    count = 8000
    drawn = sample(model, *[7] * 8, seeds=tuple(range(8)), beams=1000, max_length=3, temperature=temperature)
    seen = frequencies(drawn)
    tempered = PrefixModel(5)
    logits = model.table / temperature
    logits[:, BOS] = NOWHERE
    tempered.table = logits.log_softmax(-1)
    config = SearchConfig(max_length=3, min_length=0)
    expected = exhaustive(tempered.step, tempered.start(7), config=config, bos_id=BOS, eos_id=EOS)
    assert set(seen) <= {h.tokens for h in expected}
    for h in expected:
        mean = count * math.exp(h.log_prob)
        assert abs(seen[h.tokens] - mean) < 4 * math.sqrt(mean) + 2


def test_samples_report_the_model_and_not_the_draw() -> None:
    model = PrefixModel(6, seed=1)
    [found] = sample(model, 3, beams=20, temperature=0.3, top_k=2, no_repeat_ngram=1, length_penalty=0.0)
    assert len(found) == 20 > len({h.tokens for h in found}), "every sample, also one drawn twice"
    for h in found:
        assert h.token_log_probs == pytest.approx(rescore(model, 3, h), abs=1e-6)
        assert h.score == h.log_prob == pytest.approx(sum(h.token_log_probs), abs=1e-5)
    assert [h.score for h in found if h.finished] == sorted((h.score for h in found if h.finished), reverse=True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {2, 3, 4, 5}),
        ({"top_k": 1}, {4}),
        ({"top_k": 3}, {3, 4, 5}),
        ({"top_k": 99}, {2, 3, 4, 5}),
        ({"top_p": 0.39}, {4}),
        ({"top_p": 0.41}, {4, 5}),  # the token that passes top_p is in
        ({"top_p": 0.69}, {4, 5}),
        ({"top_p": 0.71}, {3, 4, 5}),
        ({"top_k": 2, "top_p": 0.56}, {4}),  # of the two, 4 has 0.4 / 0.7 = 0.57
        ({"top_k": 2, "top_p": 0.58}, {4, 5}),
        ({"top_p": 0.58, "temperature": 0.5}, {4, 5}),  # 0.4 ** 2 / (0.1 ** 2 + 0.2 ** 2 + ...) = 0.53
        ({"top_p": 0.52, "temperature": 0.5}, {4}),
    ],
)
def test_top_k_and_top_p_leave_these_tokens(options: dict, expected: set[int]) -> None:
    rows = [[0.0, 0.0, 0.1, 0.2, 0.4, 0.3]] * 6
    defaults = {"beams": 500, "n_best": 500, "max_length": 1, "min_length": 0, "temperature": 1.0}
    found = find_in(rows, **{**defaults, **options})
    assert {h.tokens[0] for h in found} == expected


def test_samples_depend_on_the_seed_alone() -> None:
    model = PrefixModel(8)
    once = sample(model, 1, 2, 3, beams=6)
    torch.manual_seed(123)
    assert sample(model, 1, 2, 3, beams=6) == once
    assert sample(model, 3, beams=6) == once[2:], "not on the place in the batch"
    assert sample(model, 1, 2, 3, beams=6, seed=1) != once


def test_more_samples_begin_with_the_same_ones() -> None:
    model = PrefixModel(8)
    few, many = frequencies(sample(model, 1, beams=5)), frequencies(sample(model, 1, beams=50))
    assert few and not few - many


def test_clips_with_seeds_of_their_own_are_sampled_independently() -> None:
    model = PrefixModel(8)
    same = sample(model, 5, 5, beams=20)
    apart = sample(model, 5, 5, beams=20, seeds=(1, 2))
    assert same[0] == same[1]
    assert apart[0] != apart[1]
    assert [apart[1]] == sample(model, 5, beams=20, seed=2)


def test_a_draw_of_exactly_zero_is_never_an_impossible_token() -> None:
    allowed = torch.tensor([NOWHERE, NOWHERE, -0.7, -0.7]).view(1, 1, 1, 4)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    log_prob, token = draw(torch.zeros(1, 1, 1), allowed, zero, SearchConfig(temperature=1.0))
    assert token.item() == 2 and log_prob.item() == pytest.approx(-0.7)


def test_a_low_temperature_is_greedy_search() -> None:
    model = PrefixModel(8)
    for clip in range(10):
        [[greedy]] = find(model, clip, config=SearchConfig(beams=1, max_length=4, min_length=0))
        assert sample(model, clip, beams=3, temperature=1e-3) == [[greedy] * 3]


# --- with real models -----------------------------------------------------------------------------------------------


def test_the_attention_gru_is_captioned_in_batches_as_alone() -> None:
    from captioner.language.decoder import AttentionGRU

    torch.manual_seed(0)
    config = DecoderConfig(embed=16, hidden=16, attention=8, layers=2)
    decoder = AttentionGRU(config, vocabulary=40, width=12, places=1).eval()
    torch.nn.init.normal_(decoder.embedding.weight, std=1.5)  # opinions
    features, mask = torch.randn(6, 5, 1, 12), torch.ones(6, 5, dtype=torch.bool)
    mask[2, 3:] = False

    def caption(rows: slice, **options) -> list[list[Hypothesis]]:
        memory = decoder.remember(features[rows], mask[rows])
        return search(
            lambda tokens, state: decoder.step(memory, tokens, state),
            decoder.start(memory),
            config=SearchConfig(max_length=10, no_repeat_ngram=0, **options),
            bos_id=BOS,
            eos_id=EOS,
            banned=(BOS,),
        )

    for options in (
        {"beams": 5, "n_best": 3},
        {"beams": 1},
        {"beams": 4, "groups": 2},
        {"beams": 3, "temperature": 1.0},
    ):
        together = caption(slice(0, 6), **options)
        for clip in range(6):
            [alone] = caption(slice(clip, clip + 1), **options)
            assert [h.tokens for h in alone] == [h.tokens for h in together[clip]]
            assert [h.score for h in alone] == pytest.approx([h.score for h in together[clip]], abs=1e-4)


@torch.no_grad()
def test_equals_the_beam_search_of_transformers() -> None:
    """A random GPT-2, with one beam and with the full width: in between, `generate` refills its beam differently."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    size = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 8}
    gpt2 = GPT2LMHeadModel(
        GPT2Config(vocab_size=6, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=BOS, **size)
    ).eval()
    for parameter in gpt2.parameters():
        torch.nn.init.normal_(parameter, std=1.0)

    def step(tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        prefix = torch.cat([state[0], tokens[..., None]], dim=-1)
        logits = gpt2(prefix.flatten(0, 1)).logits[:, -1]
        return logits.log_softmax(-1).unflatten(0, tokens.shape), (prefix,)

    for length, beams in ((6, 1), (4, 4**3 * 5)):
        config = SearchConfig(
            beams=beams, n_best=min(beams, 10), length_penalty=0.0, max_length=length, min_length=0, no_repeat_ngram=0
        )
        start = (torch.empty(1, 1, 0, dtype=torch.long),)
        [found] = search(step, start, config=config, bos_id=BOS, eos_id=EOS, banned=(BOS,))
        theirs = gpt2.generate(
            torch.tensor([[BOS]]),
            attention_mask=torch.ones(1, 1, dtype=torch.long),
            num_beams=beams,
            num_return_sequences=1 if beams == 1 else 40,
            max_new_tokens=length,
            do_sample=False,
            suppress_tokens=[BOS],
            **({"length_penalty": 0.0, "early_stopping": "never"} if beams > 1 else {}),  # 0: the sum, as ours
        )
        ended = [tuple(row[1 : row.index(EOS)]) for row in theirs.tolist() if EOS in row]
        assert len(ended) >= len(found)
        assert [h.tokens for h in found] == ended[: len(found)]
