"""What people read is short: sentences of at most thirty words, pages of at most 150 lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from captioner.cli import make_parser
from data.__main__ import build_parser as data_parser
from eval.__main__ import COMMANDS
from eval.__main__ import build_parser as eval_parser
from tests.prose import PACKAGES, ROOT, docstrings, help_texts, page_text, sentences, strings, words

LONGEST_SENTENCE, LONGEST_PAGE, LONGEST_LINE, ALL_WORDS = 30, 150, 120, 14_000
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
READ = [page for page in PAGES if "notebook" not in page.parts]


def long_sentences(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Where each sentence of too many words stands."""
    found = [(where, sentence) for where, text in texts for sentence in sentences(text)]
    return [f"{where}: {sentence}" for where, sentence in found if words(sentence) > LONGEST_SENTENCE]


def test_a_long_sentence_is_found() -> None:
    long = " ".join(["word"] * 31) + "."
    assert words(long) == 31 and len(long_sentences([("here", f"Short one. Another. {long} The end.")])) == 1
    assert not long_sentences([("here", "A caption. " * 20)])
    assert not long_sentences([("here", "- one item\n- " + "word " * 20 + "\n- " + "word " * 20)])
    assert [words(each) for each in sentences("It reads `a b c` and [a link](b.md#c).")] == [6]


def test_help_texts_are_short() -> None:
    parsers = [make_parser(), data_parser(), *(eval_parser(name) for name in COMMANDS)]
    assert long_sentences(text for parser in parsers for text in help_texts(parser)) == []


def test_docstrings_are_short() -> None:
    modules = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert long_sentences(text for path in modules for text in docstrings(path)) == []


def test_the_strings_of_the_page_are_short() -> None:
    (path,) = (ROOT / "demo").rglob("strings.py")
    assert long_sentences(strings(path)) == []


def test_sentences_of_the_docs_are_short() -> None:
    read = [(str(page.relative_to(ROOT)), page_text(page.read_text(encoding="utf-8"))) for page in READ]
    assert long_sentences(read) == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_pages_are_short(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_PAGE
    assert [line for line in lines if len(line) > LONGEST_LINE and not line.startswith("|")] == []  # a row cannot wrap


def test_the_docs_can_be_read_in_an_hour() -> None:
    read = [page.read_text(encoding="utf-8").split() for page in READ]
    assert sum(any(map(str.isalnum, word)) for text in read for word in text) <= ALL_WORDS
