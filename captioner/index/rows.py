"""A clip as an index keeps it: a row of ``moments``, from a record of the journal's kind and back."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.caption.result import DetectedNoun

_MARK = struct.Struct("<ef")  # probability, seconds
_SEPARATOR = "\n"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A clip or a shot."""

    start_seconds: float
    end_seconds: float | None
    caption: str
    confidence: float
    unsure: bool
    others: tuple[str, ...]
    """Other sentences of the n-best list."""
    seen: tuple[DetectedNoun, ...]
    """Words and nouns that were detected, surest first."""
    vector: bytes
    """W numbers, float16; may be empty."""
    thumbnail: bytes = b""
    """A WebP picture; may be empty."""


def moment_of(row: dict[str, Any]) -> Moment:
    """Of a caption's row (:func:`captioner.outputs.writers.row`), with what an index keeps of its clip."""
    kept = row.get("embedding", {})
    told = [(w["word"], w) for w in kept["words"]] + [(s["noun"], s) for s in row.get("evidence", ())]
    seen = [
        DetectedNoun(noun=noun, probability=found["probability"], peak_seconds=found["peak_seconds"])
        for noun, found in told
    ]
    return Moment(
        start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"],
        caption=row["caption"],
        confidence=row["confidence"],
        unsure=row["abstained"],
        others=tuple(a["caption"] for a in row["alternatives"] if a["caption"] != row["caption"]),
        seen=_together(seen),
        vector=base64.b64decode(kept["vector"]),
        thumbnail=base64.b64decode(kept["thumbnail"]),
    )


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


def join_others(others: Sequence[str]) -> str:
    """The column ``others``."""
    return _SEPARATOR.join(others)


def separate_others(others: str) -> list[str]:
    """What :func:`join_others` was given."""
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
