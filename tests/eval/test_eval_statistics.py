"""Intervals and p-values against slow, obvious code and against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.metrics.bleu import bleu
from captioner.metrics.cider import CiderScorer, cider
from captioner.metrics.rouge import rouge_l
from captioner.metrics.text import tokenize
from eval.scores.diversity import diversity, self_cider
from eval.scores.statistics import METRICS, bootstrap, compare, intervals, scores, statistics

WORDS = ["a", "the", "man", "dog", "cat", "runs", "sits", "in", "on", "park", "road", "red"]


def random_captions(generator: np.random.Generator, count: int) -> list[str]:
    return [" ".join(generator.choice(WORDS, size=generator.integers(3, 9))) for _ in range(count)]


def some_clips(count: int, seed: int) -> tuple[dict[str, str], dict[str, list[str]]]:
    generator = np.random.default_rng(seed)
    references = {f"v{i}": random_captions(generator, 4) for i in range(count)}
    hypotheses = dict(zip(references, random_captions(generator, count), strict=True))
    return hypotheses, references


def rows_of(hypotheses: dict[str, str], references: dict[str, list[str]]) -> np.ndarray:
    tokens = [[tokenize(c) for c in references[clip]] for clip in hypotheses]
    return statistics(list(hypotheses), [tokenize(h) for h in hypotheses.values()], tokens, CiderScorer(references))


def test_sums_of_statistics_give_the_corpus_scores():
    hypotheses, references = some_clips(30, seed=1)
    rows = rows_of(hypotheses, references)
    expected = [
        *bleu(hypotheses, references).corpus,
        rouge_l(hypotheses, references).corpus,
        cider(hypotheses, references).corpus,
    ]
    assert scores(rows.sum(axis=0), 30) == pytest.approx(expected, abs=1e-12)
    assert scores(rows, 1)[:, 5] == pytest.approx(cider(hypotheses, references).per_clip)


def test_a_resample_is_the_score_of_the_clips_drawn():
    """BLEU and ROUGE-L of the drawn clips written out, scored from their text."""
    hypotheses, references = some_clips(12, seed=2)
    fast = bootstrap(rows_of(hypotheses, references), resamples=20, seed=3)
    generator = np.random.default_rng(3)
    drawn = generator.integers(0, 12, size=(20, 12))
    for found, chosen in zip(fast, drawn, strict=True):
        clips = [list(hypotheses)[i] for i in chosen]
        again = {str(place): hypotheses[clip] for place, clip in enumerate(clips)}
        against = {str(place): references[clip] for place, clip in enumerate(clips)}
        assert found[:4] == pytest.approx(bleu(again, against).corpus, abs=1e-9)
        assert found[4] == pytest.approx(rouge_l(again, against).corpus, abs=1e-9)


def test_resamples_do_not_depend_on_how_many_are_held_at_once(monkeypatch: pytest.MonkeyPatch):
    rows = rows_of(*some_clips(10, seed=4))
    whole = bootstrap(rows, resamples=50)
    monkeypatch.setattr("eval.scores.statistics._CHUNK", 35)
    assert bootstrap(rows, resamples=50) == pytest.approx(whole)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    generator = np.random.default_rng(5)
    rows = rows_of(*some_clips(400, seed=5))
    rows[:, 11] = generator.normal(1.0, 0.5, size=400)  # CIDEr, were it normal
    interval = intervals(rows, resamples=2000)["CIDEr"]
    assert interval.low < interval.score < interval.high
    width = 2 * 1.96 * rows[:, 11].std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(width, rel=0.1)


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    rows = rows_of(*some_clips(50, seed=6))
    assert intervals(rows, seed=1) == intervals(rows, seed=1) != intervals(rows, seed=2)


def test_equal_systems_differ_by_nothing_and_p_is_one():
    rows = rows_of(*some_clips(40, seed=7))
    for difference in compare(rows, rows, resamples=200, trials=200).values():
        assert (difference.difference, difference.low, difference.high) == (0, 0, 0)
        assert difference.p_bootstrap == difference.p_randomization == 1


def test_a_clear_improvement_is_significant_and_noise_is_not():
    hypotheses, references = some_clips(120, seed=8)
    better = {clip: (references[clip][0] if i % 3 == 0 else h) for i, (clip, h) in enumerate(hypotheses.items())}
    before, after = rows_of(hypotheses, references), rows_of(better, references)
    for name, difference in compare(after, before, resamples=500, trials=500).items():
        assert difference.difference > 0 and difference.low > 0, name
        assert difference.p_bootstrap < 0.01 and difference.p_randomization < 0.01
    other, _ = some_clips(120, seed=9)
    noise = compare(rows_of(dict(zip(hypotheses, other.values(), strict=True)), references), before, resamples=500)
    assert noise["CIDEr"].p_bootstrap > 0.05 and noise["CIDEr"].p_randomization > 0.05
    assert noise["CIDEr"].low < noise["CIDEr"].difference < noise["CIDEr"].high


def test_no_p_value_is_below_one_in_the_number_of_trials():
    """The observed difference is one of those that chance may give: (0 + 1) / (trials + 1), never 0."""
    worse = np.zeros((60, 12))
    better = worse.copy()
    better[:, 11] = np.linspace(5, 6, 60)
    found = compare(better, worse, resamples=99, trials=199)["CIDEr"]
    assert found.p_bootstrap == 1 / 100 and found.p_randomization == 1 / 200


def test_compare_is_antisymmetric():
    hypotheses, references = some_clips(40, seed=10)
    other, _ = some_clips(40, seed=11)
    one, two = rows_of(hypotheses, references), rows_of(dict(zip(hypotheses, other.values(), strict=True)), references)
    there, back = compare(one, two, resamples=300, trials=300), compare(two, one, resamples=300, trials=300)
    for name in METRICS:
        assert there[name].difference == pytest.approx(-back[name].difference)
        assert there[name].low == pytest.approx(-back[name].high)
        assert there[name].p_randomization == pytest.approx(back[name].p_randomization, abs=0.01)


def test_randomization_equals_trying_every_swap():
    """With 8 clips all 256 swaps can be tried; the p-value of CIDEr must come near theirs."""
    hypotheses, references = some_clips(8, seed=12)
    better = {clip: references[clip][0] if i < 5 else h for i, (clip, h) in enumerate(hypotheses.items())}
    one, two = rows_of(better, references)[:, 11], rows_of(hypotheses, references)[:, 11]
    signs = 1 - 2 * np.array(np.meshgrid(*[[0, 1]] * 8)).reshape(8, -1)
    swapped = np.abs((one - two) @ signs) / 8
    exact = np.mean(swapped >= abs((one - two).sum()) / 8 - 1e-12)
    found = compare(rows_of(better, references), rows_of(hypotheses, references), trials=20000)["CIDEr"]
    assert found.p_randomization == pytest.approx(exact, abs=0.015)


def test_p_values_are_uniform_where_there_is_no_difference():
    """Two systems that differ by chance alone: about 5 % of the tests may say otherwise."""
    generator = np.random.default_rng(13)
    false_alarms = 0
    for _ in range(200):
        one, two = np.zeros((60, 12)), np.zeros((60, 12))
        one[:, 11], two[:, 11] = generator.gamma(1.0, size=60), generator.gamma(1.0, size=60)
        found = compare(one, two, resamples=200, trials=200, seed=int(generator.integers(1 << 30)))["CIDEr"]
        false_alarms += found.p_randomization < 0.05
    assert 2 <= false_alarms <= 20  # binomial(200, 0.05): 2 to 20 is more than 99.8 %


# --- diversity ----------------------------------------------------------------------------------------------------


def test_diversity_of_captions_counted_by_hand():
    captions = {"1": ["a", "dog", "runs"], "2": ["a", "dog", "runs"], "3": ["a", "cat"]}
    found = diversity(captions, {"1": [["the", "dog"], ["a"]]}, training={("a", "cat"), ("a", "bird")})
    assert found.distinct_1 == pytest.approx(4 / 8) and found.distinct_2 == pytest.approx(3 / 5)
    assert found.vocabulary == 4 and found.reference_vocabulary == 3
    assert found.unique_share == pytest.approx(2 / 3) and found.repeated_share == pytest.approx(2 / 3)
    assert found.most_common == "a dog runs" and found.most_common_share == pytest.approx(2 / 3)
    assert found.novel_share == pytest.approx(2 / 3)
    assert (found.mean_words, found.shortest_words, found.longest_words) == (pytest.approx(8 / 3), 2, 3)
    assert found.mean_reference_words == 1.5 and found.self_cider is None


def test_diversity_of_captions_without_words():
    found = diversity({"1": []}, {"1": [[]]})
    assert found.distinct_1 == found.distinct_2 == 0 and found.most_common_share == 1


def test_self_cider_is_zero_for_copies_and_one_for_captions_with_nothing_in_common():
    from captioner.metrics.cider import document_frequency

    frequency = document_frequency({str(i): [f"w{i} x{i} y{i} z{i}"] for i in range(20)})
    same, apart = "w1 x1 y1 z1", "w2 x2 y2 z2"
    assert self_cider({"a": [same, same, same]}, frequency=frequency) == pytest.approx(0, abs=1e-6)
    assert self_cider({"a": [same, apart]}, frequency=frequency) == pytest.approx(1)
    half = self_cider({"a": [same, "w1 x1 y1 u"]}, frequency=frequency)
    assert half is not None and 0.1 < half < 0.9
    assert self_cider({"a": [same]}, frequency=frequency) is None
