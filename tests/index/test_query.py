"""The language of queries: what each part is read as, and that nothing that people type breaks it."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import ConfigError
from captioner.index.query import Query, parse


@pytest.mark.parametrize(
    ("written", "query"),
    [
        ("a dog on a beach", Query(text="a dog on a beach")),
        ('a "black dog" runs', Query(text="a black dog runs", exact=("black dog",))),
        ("dog -cat -beach", Query(text="dog", without=("cat", "beach"))),
        ('dog -"hot dog"', Query(text="dog", without=("hot dog",))),
        ("t-shirt", Query(text="t-shirt")),
        ("dog path:holiday/*", Query(text="dog", path="holiday/*")),
        ('path:"my holiday" dog', Query(text="dog", path="my holiday")),
        ("after:2024-05 dog", Query(text="dog", after="2024-05")),
        ('"never closed', Query(text="never closed", exact=("never closed",))),
        ('path: - "" !', Query(text="path:")),
        ("", Query()),
    ],
)
def test_each_part_is_read(written: str, query: Query) -> None:
    assert parse(written) == query


def test_dates_begin_where_they_say() -> None:
    assert parse("after:2024-05-17").after_seconds == datetime(2024, 5, 17).timestamp()
    assert parse("after:2024").after_seconds == datetime(2024, 1, 1).timestamp()
    assert parse("dog").after_seconds is None


@pytest.mark.parametrize("written", ["after:soon", "after:2024-13", "path:a path:b", "after:2024 after:2023"])
def test_what_makes_no_sense_is_said(written: str) -> None:
    with pytest.raises(ConfigError, match=r"after:|twice"):
        parse(written)


def test_a_path_is_a_part_or_a_pattern_from_a_folder_on() -> None:
    assert parse("path:holiday").glob == "*holiday*"
    assert parse("path:holiday/*").glob == "*/holiday/*"
    assert parse("path:/data/*.mp4").glob == "/data/*.mp4"
    assert parse("path:a[1]").glob == "*a[[]1]*"


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_nothing_that_is_typed_breaks_it(written: str) -> None:
    try:
        query = parse(written)
    except ConfigError:
        return
    assert all(words in query.text for words in query.exact)
    assert query.text == " ".join(query.text.split())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet="abcdefg", min_size=1), min_size=1, max_size=5))
def test_words_stay_as_they_are_in_quotes_or_not(words: list[str]) -> None:
    text = " ".join(words)
    assert parse(text) == Query(text=text)
    assert parse(f'"{text}"') == Query(text=text, exact=(text,))
