"""What the page says in each state: every sentence is what it was, is filled as it asks, and stands for one thing."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="pip install 'captioner[web]'")

from demo import strings
from demo.tabs.anomalies import shown_scores
from tests.demo.sentences import gaps, sentences

ROOT = Path(__file__).parents[2]
SOURCES = [*sorted((ROOT / "demo").rglob("*.py")), ROOT / "app.py"]


def test_every_sentence_is_what_it_was() -> None:
    """A sentence that was changed on purpose is written anew: see tests/demo/sentences.py."""
    lines = Path(__file__).with_name("sentences.tsv").read_text(encoding="utf-8").splitlines()
    assert [f"{name}\t{sentence}" for name, sentence in sentences().items()] == lines


def test_no_text_stands_in_the_place_of_another() -> None:
    texts = Counter(
        v for n, v in vars(strings).items() if n.isupper() and isinstance(v, str) and not n.startswith("TAB_")
    )
    assert [text for text, count in texts.items() if count > 1] == []


def fillings(path: Path) -> Iterator[tuple[set[str], set[str], str]]:
    """The constants that each call of ``format`` may fill, the fields that it gives, and where it stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef):
            continue
        held = {
            target.id: constants(node.value)
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
                of = node.func.value
                names = held.get(of.id, set()) if isinstance(of, ast.Name) else constants(of)
                if names:
                    yield names, {k.arg or "" for k in node.keywords}, f"{path.name}:{node.lineno}"


def constants(value: ast.expr) -> set[str]:
    """Of ``strings.NAME``, or of one of two of them."""
    if isinstance(value, ast.IfExp):
        return constants(value.body) | constants(value.orelse)
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "strings":
        return {value.attr}
    return set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_gap_is_filled_and_nothing_is_given_that_no_text_says(path: Path) -> None:
    for names, given, place in fillings(path):
        asked = set().union(*(gaps(getattr(strings, name)) for name in names))
        assert given == asked, f"{place} gives {given} to {names}, which ask for {asked}"


def test_every_text_is_shown_somewhere() -> None:
    used = {
        node.attr
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "strings"
    }
    assert {name for name in vars(strings) if name.isupper()} - used == set()


MOMENTS = [{"seconds": n / 2, "score": 0.1 + 0.02 * n} for n in range(61)]
EVENT: dict[str, Any] = {
    "place": "left",
    "strength": 1.5,
    "start_seconds": 3.0,
    "peak_seconds": 4.0,
    "end_seconds": 5.0,
}


@pytest.mark.parametrize(
    ("threshold", "events", "refused", "said"),
    [
        (2.0, [], "", "No anomaly in 30 seconds: the highest score is 0.65 of the threshold"),
        (1.0, [EVENT], "", "Events in 30 seconds: 1"),
        (1.0, [EVENT, EVENT], "The file is cut off.", "Events in 30 seconds: 2"),
    ],
)
def test_what_a_scored_video_says(threshold: float, events: list[dict[str, Any]], refused: str, said: str) -> None:
    page = shown_scores(MOMENTS, events, threshold=threshold, refused=refused, files={})
    assert f'<p class="cap-sentence">{said}</p>' in page and strings.NORMAL not in page
    assert page.count("cap-event") == len(events) == page.count("1.5 times the threshold")
    assert ("The file is cut off." in page) is bool(refused)
