"""Captions to ids and back: the plain form, our own pieces and other people's, and what is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.tokenizer import normalise

CAPTIONS = (
    "A red circle moves to the left.",
    "a blue square isn't moving , it 's standing still",
    "two green triangles are dancing around the man's café",
    "a woman is sautéing mushrooms",
    "someone throws an orange ball to a dog — the dog catches it",
    "кошка играет с мячом",
    "a cat plays with a 3rd ball & a toy",
    "one man s hat isn t on his head",
)


# --- the plain form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("A man,  riding a\thorse.\n", "a man riding a horse"),
        ("it s its shell", "it's its shell"),
        ("It's a dog's life", "it's a dog's life"),
        ("it 's the man ’s hat", "it's the man's hat"),
        ("the customer`s face", "the customer's face"),
        ("she does n't , he doesn t and they don't", "she doesn't he doesn't and they don't"),
        (
            "they re sure we ve seen what i ll do and i m glad he d go",
            "they're sure we've seen what i'll do and i'm glad he'd go",
        ),
        ("a 'quoted' ''word'' and tikes' toys", "a quoted word and tikes toys"),
        ("a t shirt, the letter s and a d on t v", "a t shirt the letter s and a d on t v"),
        ("a t-shirt and black & white pigs/horses", "a t shirt and black and white pigs horses"),
        ("ＦＵＬＬ ｗｉｄｔｈ ﬁsh", "full width fish"),
        ("cafe\u0301", "café"),
        ("soft\u00adhyphen zero\u200dwidth", "softhyphen zerowidth"),
        ("हिन्दी में", "हिन्दी में"),
        ("a ❤️ 😀 smile 1️⃣", "a smile 1"),
        ("nul\0, bell\a and \ud800 half", "nul bell and half"),
        (" ... ", ""),
        ("", ""),
    ],
)
def test_normalise(written: str, plain: str) -> None:
    assert normalise(written) == plain


_WORDS = st.sampled_from(
    ["it", "they", "man", "do", "n't", "'s", "s", "re", "t", "m", "i", "d", "can", "'", "''", "-", "shirt", "the"]
)


@given(st.one_of(st.text(), st.lists(_WORDS).map(" ".join), st.lists(_WORDS).map("".join)))
def test_normalise_twice_changes_nothing(text: str) -> None:
    plain = normalise(text)
    assert normalise(plain) == plain
    assert plain == " ".join(plain.split())
    assert plain == plain.lower() or not text.isascii()
