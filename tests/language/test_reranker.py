"""The reranker between sentences by the words that were seen."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.language.config import SearchConfig
from captioner.language.hypothesis import Hypothesis
from captioner.language.reranker import Reranker, Trigrams, reranks


def said(score: float) -> Hypothesis:
    return Hypothesis((), 0.0, score, True)


FORMS = ("dog dogs", "run runs running", "cat cats")
USUAL = np.log([0.1, 0.2, 0.3])
SEEN = np.array([1.0, 0.5, -2.0])
CHANCES = np.exp(USUAL + SEEN)


def test_what_was_seen_wins_over_what_is_likely() -> None:
    reranker = Reranker(FORMS, USUAL)
    found = [said(-1.0), said(-1.2), said(-1.4)]
    texts = ["a cat is running", "a dog is running", "a dog runs with dogs"]
    for weight, expected in ((0.3, [found[1], found[2], found[0]]), (0.0, found)):  # at 0.3 -1.45, -0.75 and -0.95
        assert reranker.rerank(found, texts, word_probs=CHANCES, config=SearchConfig(word_weight=weight)) == expected
    others = ["what", "", "no word of these"]
    assert reranker.rerank(found, others, word_probs=CHANCES, config=SearchConfig(word_weight=9.0)) == found


@given(st.data())
def test_the_order_is_that_of_the_sums(data: st.DataObject) -> None:
    words = st.sampled_from(["dog", "dogs", "run", "runs", "cat", "a", "is"])
    texts = data.draw(st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=6))
    numbers = st.integers(-40, 0).map(lambda n: n / 8)
    found = [said(data.draw(numbers)) for _ in texts]
    weight, least = (data.draw(st.sampled_from([0.0, 0.25, 1.0])) for _ in range(2))
    config = SearchConfig(word_weight=weight, least_weight=least)
    ordered = Reranker(FORMS, USUAL).rerank(found, texts, word_probs=CHANCES, config=config)
    sums = {id(one): one.score for one in found}
    for one, text in zip(found, texts, strict=True):
        chances = [0.05] * (not set(" ".join(FORMS).split()) & set(text.split()))
        for column, row in enumerate(FORMS):
            if set(row.split()) & set(text.split()):  # each word once, however often and in whatever form
                sums[id(one)] += weight * SEEN[column]
                chances.append(CHANCES[column])
        sums[id(one)] += least * np.log(min(chances))
    assert sorted(map(id, ordered)) == sorted(map(id, found))
    told = [sums[id(one)] for one in ordered]
    assert all(first >= second - 1e-9 for first, second in itertools.pairwise(told))


def test_support_is_the_mean_chance_of_the_words_it_knows() -> None:
    reranker = Reranker(FORMS, USUAL)
    assert reranker.support("a dog runs with dogs", word_probs=CHANCES) == pytest.approx((CHANCES[0] + CHANCES[1]) / 2)
    assert reranker.support("a tram", word_probs=CHANCES) == 0
    unseen = reranker.rerank(
        [said(0), said(0)], ["a cat", "a dog"], word_probs=np.zeros(3), config=SearchConfig(word_weight=1.0)
    )
    assert all(np.isfinite(one.score) for one in unseen)  # a chance of nothing is no minus infinity


def test_what_nobody_wrote_has_its_price() -> None:
    table = np.zeros(512, dtype=np.uint8)
    Trigrams(table).add(["a cat is running", "a dog is running"])
    reranker, texts = Reranker(FORMS, USUAL, table), ["a dog is a dog", "a cat is running"]
    found = [said(-1.0), said(-1.1)]
    for price, first in ((0.0, 0), (1.0, 1)):
        config = SearchConfig(word_weight=0.2, odd_price=price)
        assert reranker.rerank(found, texts, word_probs=CHANCES, config=config)[0] is found[first]


def test_a_sentence_without_a_verb_has_half_that_price() -> None:
    table = np.zeros(512, dtype=np.uint8)
    texts = ["a cat in the snow", "a cat is in the snow"]
    Trigrams(table).add(texts)
    reranker = Reranker(FORMS, USUAL, table)
    for behind, first in ((0.4, 1), (0.6, 0)):
        found = [said(-1.0), said(-1.0 - behind)]
        config = SearchConfig(word_weight=0.2, odd_price=1.0)
        assert reranker.rerank(found, texts, word_probs=CHANCES, config=config)[0] is found[first]


def test_an_unfamiliar_noun_that_the_classifier_sees_counts_and_a_sure_one_overrules_the_detector() -> None:
    reranker = Reranker(FORMS, USUAL, nouns=("dog", "cat", "fire truck", "zebra"))
    found = [said(-1.0), said(-2.5)]
    texts = ["a dog is running", "a dog is on a fire truck"]
    config = SearchConfig(word_weight=0.3, noun_weight=1.0)
    nouns = {"fire truck": np.array([0, 0, 0.4, 0]), "none": np.array([0, 0, 0.02, 0])}
    for name, expected in (
        ("fire truck", found[::-1]),
        ("none", found),
    ):  # log 13 is worth more than 1.5; below the prior
        told = reranker.rerank(found, texts, word_probs=CHANCES, noun_probs=nouns[name], config=config)
        assert told == expected
    off = dataclasses.replace(config, noun_weight=0.0)
    assert reranker.rerank(found, texts, word_probs=CHANCES, noun_probs=nouns["fire truck"], config=off) == found
    cats = ["a dog is running", "a cat is running"]
    near = [said(-1.0), said(-1.02)]
    for chance, expected in ((0.9, near[::-1]), (0.2, near)):  # the detector says 0.04 of a cat
        nouns_of_cat = np.array([0, chance, 0, 0])
        assert reranker.rerank(near, cats, word_probs=CHANCES, noun_probs=nouns_of_cat, config=config) == expected


def test_the_sentence_that_fits_the_clip_best_is_preferred_by_its_weight() -> None:
    found, texts, matches = [said(-1.0), said(-1.3)], ["what", "this"], np.array([0.1, 0.2])
    for weight, first in ((2.0, 0), (4.0, 1)):  # 0.2 and 0.4 for 0.3
        config = SearchConfig(match_weight=weight)
        told = Reranker(FORMS, USUAL).rerank(found, texts, word_probs=CHANCES, matches=matches, config=config)
        assert told[0] is found[first]


@pytest.mark.parametrize("weight", ["word_weight", "least_weight", "match_weight", "odd_price"])
def test_each_weight_reranks_what_is_searched_and_none_what_is_sampled(weight: str) -> None:
    off = SearchConfig(word_weight=0.0, least_weight=0.0, match_weight=0.0, odd_price=0.0)
    on = dataclasses.replace(off, **{weight: 0.1})  # type: ignore[arg-type]
    assert reranks(on) and not reranks(off)
    assert not any(reranks(dataclasses.replace(config, temperature=1.0)) for config in (on, off))


SENTENCES = st.lists(st.sampled_from(["a", "man", "dog", "is", "running", "hair"]), max_size=7).map(" ".join)


def plain(caption: str) -> set[tuple[str, ...]]:
    words = ("", *caption.split(), "")
    return {words[i : i + 3] for i in range(len(words) - 2)}


@given(st.lists(SENTENCES, max_size=12), SENTENCES)
def test_what_it_was_told_is_never_odd(captions: list[str], sentence: str) -> None:
    phrases = Trigrams(np.zeros(4096, dtype=np.uint8))
    phrases.add(captions)
    assert all(phrases.unknown(caption) == 0 for caption in captions)
    known = set().union(*map(plain, captions)) if captions else set()
    assert phrases.unknown(sentence) <= len(sentence.split())
    assert (phrases.unknown(sentence) > 0) == bool(plain(sentence) - known)  # the table is large: nothing is mistaken


def test_what_is_written_once_can_be_left_out() -> None:
    phrases = Trigrams(np.zeros(512, dtype=np.uint8))
    phrases.add(["a man is running", "a man is running", "a man is putting a hair"], least=2)
    assert phrases.unknown("a man is running") == 0
    assert phrases.unknown("a man is putting a hair") == 4  # "man is putting" to "a hair" and the end
    phrases.add(["a man is putting a hair"])
    assert phrases.unknown("a man is putting a hair") == 0


def test_at_five_bits_each_one_in_ten_is_mistaken() -> None:
    phrases = Trigrams(np.zeros(3300, dtype=np.uint8))
    phrases.add(f"w{i} x{i} y{i}" for i in range(1700))  # three sequences each
    mistaken = sum(3 - phrases.unknown(f"u{i} v{i} z{i}") for i in range(2000)) / 6000
    assert 0.05 < mistaken < 0.16


def test_a_trigram_has_the_bits_that_checkpoints_hold() -> None:
    """Their tables were filled by earlier versions, and are read by later ones."""
    table = np.zeros(512, dtype=np.uint8)
    Trigrams(table).add(["a dog runs"])
    bits = np.unpackbits(table, bitorder="little").nonzero()[0]
    assert bits.tolist() == [433, 542, 639, 1056, 1087, 1370, 1642, 1825, 2726]
