"""The house stays in order: no circle of imports, no long file, no long function, no module outside a room."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("captioner", "data", "demo", "eval")
LONGEST_FILE, LONGEST_FUNCTION = 320, 60
HALL = {"__init__", "__main__", "cli", "config", "errors", "manifest", "model"}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_no_module_imports_itself_by_a_detour() -> None:
    """Imports inside functions count too; those for type checking do not."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)
    order = TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules})
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_every_module_has_its_room() -> None:
    assert {path.stem for path in (ROOT / "captioner").glob("*.py")} == HALL


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_nothing_is_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name


def test_every_decision_that_is_named_exists() -> None:
    """And there are few of them: ten lines each, with a title that states the decision, and the date."""
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len(records) <= 25
    for record in records:
        title, _, date, *_ = record.read_text(encoding="utf-8").splitlines()
        assert (title.startswith("# ") and date == "") or date.startswith("Decided 20"), record
        assert record.read_text(encoding="utf-8").count("\n") <= 14, record
    numbers = {record.name[:4] for record in records}
    texts = [
        *ROOT.glob("docs/**/*.md"),
        *SOURCES,
        *(ROOT / "recipes").rglob("*.toml"),
        *(ROOT / "benchmarks").glob("*.py"),
    ]
    for path in texts:
        for number in re.findall(r"decisions?[ /]\(?(\d{4})", path.read_text(encoding="utf-8")):
            assert number in numbers, f"{path} names decision {number}"
