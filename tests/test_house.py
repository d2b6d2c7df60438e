"""What import-linter cannot hold: files and functions stay short, and decisions that are named exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("captioner", "data", "demo", "eval")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FILE_LINES, LONGER_FILES, LONGEST_FILE = 300, 3, 320
"""All files but so many have at most so many lines, and none more than the last."""
FUNCTION_LINES, LONGER_FUNCTIONS, LONGEST_FUNCTION = 50, 8, 60


def test_nothing_is_long() -> None:
    files: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in SOURCES:
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        files[name] = text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions[f"{name}:{node.lineno} {node.name}"] = (node.end_lineno or 0) - node.lineno + 1
    assert len(files) > 100 and len(functions) > 1000
    for lengths, aim, exceptions, longest in (
        (files, FILE_LINES, LONGER_FILES, LONGEST_FILE),
        (functions, FUNCTION_LINES, LONGER_FUNCTIONS, LONGEST_FUNCTION),
    ):
        long = {name: lines for name, lines in lengths.items() if lines > aim}
        assert len(long) <= exceptions and max(long.values(), default=0) <= longest, long


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
