"""Reads JSON that strangers made: no depth, size or number in it may end the program, and errors name the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError, DataError
from captioner.safe.text import LARGEST_BYTES, read_text

DEEPEST = 64
"""Lists and objects inside each other; captions, settings and annotations need ten."""
_TOO_DEEP = f"it is nested more than {DEEPEST} deep; deeper JSON is refused"
_LARGEST_SETTINGS = 64 * 2**20


def parse_json(text: str | bytes, *, name: str | Path, error: Callable[[str], CaptionerError] = DataError) -> Any:
    """JSON text as a value. Raises ``error``, with ``name`` in it, for text that is no JSON or nested too deep."""
    try:
        return _parse(text)
    except ValueError as problem:
        raise error(f"{name} is not valid JSON: {problem}") from problem


def _parse(text: str | bytes) -> Any:
    """Raises ValueError with what is wrong in one line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError as problem:  # a number of thousands of digits, bytes that are no text
        raise ValueError(str(problem).partition(";")[0]) from problem
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _is_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    """The lists and objects directly in a value."""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [inner for inner in values if isinstance(inner, list | dict)]


def read_json(path: Path, *, error: Callable[[str], CaptionerError] = DataError, largest: int = LARGEST_BYTES) -> Any:
    """A whole JSON file; raises ``error``."""
    try:
        text = read_text(path, largest=largest)
    except DataError as problem:
        raise error(str(problem)) from problem
    return parse_json(text, name=path, error=error)


def read_settings(path: Path, *, error: Callable[[str], CaptionerError] = DataError) -> dict[str, Any]:
    """A JSON file that holds one object of settings, such as a checkpoint's config.json; raises ``error``."""
    value = read_json(path, error=error, largest=_LARGEST_SETTINGS)
    if not isinstance(value, dict):
        raise error(f"{path} is not a JSON object but {type(value).__name__}")
    return value


def json_lines(text: str, *, name: str | Path) -> Iterator[tuple[str, Any]]:
    """The values of JSON Lines, each with its place for errors: any of LF, CR and CR LF ends a line."""
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        if line.strip():
            where = f"{name}, line {number}"
            try:
                yield where, _parse(line)
            except ValueError as problem:
                reason = problem.msg if isinstance(problem, json.JSONDecodeError) else problem
                raise DataError(f"{where}: not valid JSON ({reason})") from problem
