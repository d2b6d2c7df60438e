"""A caption as a row of plain values, and back: one table says what JSON holds and which columns Parquet has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from captioner.caption.result import Alternative, Caption, DetectedNoun, Word
from captioner.errors import DataError


class Kind(NamedTuple):
    """What a value is: how it becomes a plain one, how it is read back, and its type in Arrow."""

    plain: Callable[[Any], Any]
    read: Callable[[Any], Any]
    arrow: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


TEXT = Kind(_same, _same, lambda arrow: arrow.string())
TRUTH = Kind(_same, _same, lambda arrow: arrow.bool_())
NUMBER = Kind(lambda value: round(value, 4), _same, lambda arrow: arrow.float64())
SECONDS = Kind(lambda value: round(value, 3), _same, lambda arrow: arrow.float64())


def several(kind: Kind) -> Kind:
    """A tuple, which is a list in a row."""
    return Kind(
        lambda values: list(map(kind.plain, values)),
        lambda values: tuple(map(kind.read, values)),
        lambda arrow: arrow.list_(kind.arrow(arrow)),
    )


def record(made: type, columns: dict[str, Kind]) -> Kind:
    """A dataclass, which is a dictionary in a row."""
    return Kind(
        lambda value: dict(_plain(value, columns)),
        lambda values: made(**dict(_read(values, columns))),
        lambda arrow: arrow.struct({name: kind.arrow(arrow) for name, kind in columns.items()}),
    )


_WORD = {"text": TEXT, "peak_seconds": SECONDS, "attention": several(NUMBER), "gates": several(NUMBER)}
_SENTENCE = {"caption": TEXT, "score": NUMBER, "log_prob": NUMBER}
_NOUN = {"noun": TEXT, "probability": NUMBER, "peak_seconds": SECONDS, "used": TRUTH}
COLUMNS = {
    "path": TEXT,
    "id": TEXT,
    "caption": TEXT,
    "confidence": NUMBER,
    "calibrated": TRUTH,
    "abstained": TRUTH,
    "score": NUMBER,
    "log_prob": NUMBER,
    "start_seconds": SECONDS,
    "end_seconds": SECONDS,
    "times_seconds": several(SECONDS),
    "scene_seconds": several(SECONDS),
    "words": several(record(Word, _WORD)),
    "alternatives": several(record(Alternative, _SENTENCE)),
    "evidence": several(record(DetectedNoun, _NOUN)),
    "support": NUMBER,
    "match": NUMBER,
    "warnings": several(TEXT),
    "model": TEXT,
}
"""Those of a caption, in order, by the names of its fields; ``caption`` is its text."""
_OPTIONAL = frozenset(["id", "scene_seconds", "evidence", "support", "match", "gates", "used"])
"""Those that a row lacks where they are None or empty."""


def row(caption: Caption, *, words: bool = True) -> dict[str, Any]:
    """A caption as plain values: what JSON and JSON Lines hold. ``words`` adds the attention of each word."""
    columns = {name: kind for name, kind in COLUMNS.items() if words or name != "words"}
    return dict(_plain(caption, columns))


def from_row(values: dict[str, Any]) -> Caption:
    """The caption that :func:`row` was made from, but for rounding and grids; raises DataError if it is no row."""
    try:
        return Caption(**dict(_read({"words": ()} | values, COLUMNS)))
    except (KeyError, TypeError) as error:
        raise DataError(f"this is not a caption row: {error!r}") from None


def _plain(value: Any, columns: dict[str, Kind]) -> Iterator[tuple[str, Any]]:
    for name, kind in columns.items():
        part = getattr(value, "text" if name == "caption" else name)
        if name not in _OPTIONAL or part not in (None, "", ()):
            yield name, None if part is None else kind.plain(part)


def _read(values: dict[str, Any], columns: dict[str, Kind]) -> Iterator[tuple[str, Any]]:
    for name, kind in columns.items():
        part = None if name in _OPTIONAL and name not in values else values[name]
        if part is not None:
            yield "text" if name == "caption" else name, kind.read(part)
        elif name == "end_seconds":
            yield name, None
        elif name not in _OPTIONAL:
            raise TypeError(f"{name} is null")
