"""Normalises captions to the form that the model learns and says."""

from __future__ import annotations

import re
import unicodedata


class _Characters(dict[int, str]):
    """A table for ``str.translate``: letters, digits and the marks on them stay; all else becomes a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Cf" or unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
            self[code] = ""  # joiners, soft hyphens: invisible, and inside words
        else:
            self[code] = character if category[0] in "LN" or category in ("Mn", "Mc") else " "
        return self[code]


_CHARACTERS = _Characters({ord("'"): "'", ord("`"): "'", ord("&"): " and "})
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘´ʼ′", "'"))  # before NFKC, which takes ´ apart
_CLITIC = r"'(?:s|t|re|ve|ll|m|d)\b(?!')"
_QUOTES = re.compile(rf"(?<!\S)(?!{_CLITIC})'+|'+(?!\S)|''+")
_DETACHED = re.compile(rf" +(?=n't\b|{_CLITIC})")
"""The space in ``man 's`` and ``do n't``, as treebanks and Flickr8k write them."""
_LONE = re.compile(r" (?:s|t|re|ve|ll|m|d)\b")
_BARE_CLITICS = tuple(
    re.compile(rf"(?<!')\b{word} {clitic}\b")
    for word, clitic in (
        (r"((?:ca|do|does|did|is|are|was|were|has|have|had|could|would|should|wo)n)", r"(t)(?! shirts?)"),
        (r"(you|we|they)", "(re)"),
        (r"(i|you|we|they|could|would|should)", "(ve)"),
        (r"(i|you|he|she|it|we|they|that|there|who)", "(ll)"),
        (r"(i)", "(m)"),
        (r"(i|you|he|she|we|they)", "(d)"),
        (r"(?!(?:an|the|is|his|its|was|this|letter)\b)([^\W_]{2,})", "(s)"),
    )
)
"""What data sets leave that dropped their apostrophes: MSVD's and MSR-VTT's ``it s``, ``doesn t``, ``they re``."""


def normalise(caption: str) -> str:
    """The caption as the model sees and says it: NFKC, lower-case, letters and digits, single spaces.

    Punctuation and symbols become spaces (``&`` becomes "and"). An apostrophe stays inside a word, and is put back
    where a data set dropped it or set it apart: ``it s``, ``it 's``, ``it’s`` and ``it's`` are all ``it's``.
    Applying it twice changes nothing. See docs/decisions/0040-caption-form.md.
    """
    text = caption.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    text = text.translate(_CHARACTERS)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = " ".join(map(_without_stray_marks, text.split()))
    if "'" in text:
        text = " ".join(_QUOTES.sub(" ", text).split())
        text = _DETACHED.sub("", text).lstrip("'")
    text = " ".join(text.split())
    if _LONE.search(text):
        for pattern in _BARE_CLITICS:
            text = pattern.sub(r"\1'\2", text)
    return text


def _without_stray_marks(word: str) -> str:
    """``word`` without combining marks at its start: what they belonged to was dropped."""
    first = next((i for i, character in enumerate(word) if unicodedata.category(character)[0] != "M"), len(word))
    return word[first:]
