"""CSV that runs nothing in a spreadsheet, and that can be read back."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from captioner.outputs.spreadsheet import csv_line, guarded, unguarded


@given(st.text("='+-@\t\ra\"\n,", max_size=8))
def test_text_is_guarded_and_comes_back(text: str) -> None:
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unguarded(guarded(text)) == text


def test_a_line_guards_text_only() -> None:
    [cells] = csv.reader(io.StringIO(csv_line(["-wa0umYJVGg", -1, 'a "b", c', "'quoted'"])))
    assert cells == ["'-wa0umYJVGg", "-1", 'a "b", c', "'quoted'"]
