"""The filter of known sequences of words, against a plain set."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from captioner.language.trigrams import Trigrams

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
