"""The house stays in order: no circle of imports, no long file, no long function, no module outside a room."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("captioner", "data", "demo", "eval")
LONGEST_FILE, LONGEST_FUNCTION = 320, 60
HALL = {
    *("__init__", "__main__", "caption", "checkpoint", "cli", "collate", "config", "doctor", "errors", "lock"),
    *("manifest", "merging", "model", "naming", "pipeline", "reader", "sample", "segments", "storage"),
}
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
