"""Tokens of captions in scripts without spaces: there each character is a word, as in sacrebleu's ``zh``.

Characters of Chinese, Japanese, Thai, Lao, Khmer and Burmese stand alone, each with the marks on it. What stands
between them (names, numbers, other scripts) is tokenised as :mod:`captioner.metrics.text` does. Punctuation is dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from captioner.metrics.text import TOKENIZER, tokenize

_LETTERS = (
    "\u3005-\u3007\u3021-\u3029\u3038-\u303b"  # marks of repetition, numerals
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
    "\u3105-\u312f\u31a0-\u31bf"  # Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59"  # Thai
    "\u0e81-\u0ebd\u0ec0-\u0ec6\u0ed0-\u0edf"  # Lao
    "\u1000-\u1049\u1050-\u109f"  # Burmese
    "\u1780-\u17d3\u17d7\u17e0-\u17e9"  # Khmer
)
_MARKS = (
    "\u0300-\u036f\u3099\u309a\uff9e\uff9f\ufe00-\ufe0f\u0e31\u0e33-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb3-\u0ebc\u0ec8-\u0ecd"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u17b4-\u17d3"
)
_CHARACTER = re.compile(f"([{_LETTERS}][{_MARKS}]*)")
_STOPS = re.compile(
    r"[\u3001-\u3003\u3008-\u3011\u3014-\u301f\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)
"""Punctuation of these scripts; the Latin one is dropped with the words."""


def characters(caption: str) -> list[str]:
    """The tokens of one caption, each character of a script without spaces by itself; lower-cased."""
    text = _STOPS.sub(" ", unicodedata.normalize("NFC", caption))
    parts = _CHARACTER.split(text)  # what stands between two characters, and every other one a character
    return [token for i, part in enumerate(parts) for token in ([part] if i % 2 else tokenize(part))]


def lacks_spaces(caption: str) -> bool:
    """Whether most of its letters are of a script that puts no spaces between words."""
    letters = sum(c.isalpha() for c in caption)
    return letters > 0 and 2 * sum(len(c) for c in _CHARACTER.findall(caption)) > letters


@dataclass(frozen=True)
class Tokenizer:
    """How captions become tokens."""

    signature: str
    """Its name in the signature of a score."""
    tokenize: Callable[[str], list[str]]


PTB = Tokenizer(TOKENIZER, tokenize)
CHARACTERS = Tokenizer(f"char+{TOKENIZER}", characters)
TOKENIZERS = {"ptb": PTB, "char": CHARACTERS}


def tokenizer_for(captions: Iterable[str]) -> Tokenizer:
    """By characters where most captions are in a script without spaces, else by words."""
    found = [lacks_spaces(caption) for caption in captions]
    return CHARACTERS if 2 * sum(found) > len(found) else PTB
