"""A clip as an index keeps it: a row of ``moments``, from a record of the journal's kind and back."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from captioner.caption.result import DetectedNoun

_MARK = struct.Struct("<ef")  # probability, seconds
_SEPARATOR = "\n"


def columns_of(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of ``moments``, of a caption's row (:func:`captioner.outputs.writers.row`) with its embedding."""
    told = [(w["word"], w) for w in row["embedding"]["words"]] + [(s["noun"], s) for s in row.get("evidence", ())]
    seen = [
        DetectedNoun(noun=noun, probability=found["probability"], peak_seconds=found["peak_seconds"])
        for noun, found in told
    ]
    words, marks = pack(_together(seen))
    return {
        "start": row["start_seconds"],
        "stop": row["end_seconds"],
        "caption": row["caption"],
        "confidence": row["confidence"],
        "unsure": row["abstained"],
        "others": _SEPARATOR.join(a["caption"] for a in row["alternatives"] if a["caption"] != row["caption"]),
        "seen": words,
        "marks": marks,
    }


def _together(sights: Iterable[DetectedNoun]) -> tuple[DetectedNoun, ...]:
    """Each word once, the surest of its kind, surest first."""
    found: dict[str, DetectedNoun] = {}
    for sight in sights:
        if sight.noun not in found or found[sight.noun].probability < sight.probability:
            found[sight.noun] = sight
    return tuple(sorted(found.values(), key=lambda sight: (-sight.probability, sight.noun)))


def pack(seen: Sequence[DetectedNoun]) -> tuple[str, bytes]:
    """The columns ``seen`` and ``marks``: the words, and the probability and moment of each."""
    marks = b"".join(_MARK.pack(sight.probability, sight.peak_seconds) for sight in seen)
    return _SEPARATOR.join(sight.noun for sight in seen), marks


def unpack(seen: str, marks: bytes) -> tuple[DetectedNoun, ...]:
    """What :func:`pack` was given, but for rounding."""
    words = seen.split(_SEPARATOR) if seen else []
    return tuple(
        DetectedNoun(noun=word, probability=probability, peak_seconds=seconds)
        for word, (probability, seconds) in zip(words, _MARK.iter_unpack(marks), strict=True)
    )


def separate_others(others: str) -> list[str]:
    """The other sentences of the n-best list, of the column ``others``."""
    return others.split(_SEPARATOR) if others else []


def row_of(start: float, stop: float | None, caption: str, confidence: float, *, model: str) -> dict[str, Any]:
    """As much of a caption's row as an index has."""
    return {
        "path": "",
        "caption": caption,
        "confidence": confidence,
        "calibrated": True,
        "abstained": False,
        "score": 0.0,
        "log_prob": 0.0,
        "start_seconds": start,
        "end_seconds": stop,
        "times_seconds": [],
        "alternatives": [],
        "warnings": [],
        "model": model,
    }
