"""Everything known about one set of predictions, as one frozen value; it lives on disk as report.json."""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from captioner.errors import DataError
from captioner.safe.json_text import parse_json
from captioner.safe.text import read_text
from eval.scores.diversity import Diversity
from eval.scores.statistics import Interval, scores_by_name

FORMAT = "captioner evaluation 1"

T = TypeVar("T")


@dataclass(frozen=True)
class Coverage:
    """Which clips a score is over, and which it is not. Every clip is named by its id."""

    references: int
    """Clips that have references: what a whole score is over."""
    scored: int
    """Clips that were scored."""
    missing: tuple[str, ...]
    """Clips with references that the predictions do not name."""
    failed: dict[str, str]
    """Clips with references and, in place of a caption, this error."""
    empty: tuple[str, ...]
    """Clips whose caption has no word; they are scored (as 0)."""
    extra: tuple[str, ...]
    """Names in the predictions that the references do not have."""
    duplicates: tuple[str, ...]
    """Names with more than one caption; the first counted."""
    without_references: tuple[str, ...]
    """Clips that the references list without a caption."""
    empty_references: int
    """Reference captions without a word."""
    missing_as_empty: bool
    """Missing and failed clips were scored as empty captions."""


@dataclass(frozen=True)
class ClipScore:
    """One clip: its caption, its references, and its own scores."""

    id: str
    caption: str
    references: tuple[str, ...]
    category: str | None
    words: int
    """Tokens in the caption."""
    scores: dict[str, float]
    """By metric, in coco-caption's units: CIDEr in 0..10, all else in 0..1. CIDEr and ROUGE-L average to the corpus
    score; BLEU and METEOR do not (theirs is of the summed counts)."""
    counts: tuple[float, ...]
    """Sufficient statistics, a row of :func:`eval.scores.statistics.statistics`."""


@dataclass(frozen=True)
class Evaluation:
    """Scores, intervals, clips, counts, warnings and the signature under which they may be compared."""

    name: str
    """What the system is called in tables; the predictions' file name unless given."""
    predictions: str
    """Path of the predictions ..."""
    references: str
    """... and of the references, as they were given."""
    split: str
    signature: str
    scores: dict[str, Interval]
    """By metric, in coco-caption's units (tables print them times 100)."""
    extras: dict[str, float]
    """Figures under other definitions, by their own names ("nltk BLEU-4"); never mixed with ``scores``."""
    coverage: Coverage
    diversity: Diversity
    warnings: tuple[str, ...]
    clips: tuple[ClipScore, ...]
    references_digest: str
    """Changes with any reference: scores under different digests are not comparable."""

    @property
    def partial(self) -> bool:
        """Whether the scores are over fewer clips than have references."""
        return self.coverage.scored < self.coverage.references

    def check(self) -> None:
        """Raises DataError where the scores are not those of the clips (a report edited by hand)."""
        found = scores_by_name(np.array([clip.counts for clip in self.clips]))
        for name, interval in self.scores.items():
            if not np.isclose(found.get(name, np.nan), interval.score, atol=1e-6):
                raise DataError(f"the report of {self.name!r} contradicts itself: its clips do not give its {name}")

    def to_json(self) -> str:
        """One JSON object; :func:`from_json` reads it back."""
        values = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(values, ensure_ascii=False, indent=1) + "\n"


def load_evaluation(path: str | Path) -> Evaluation:
    """Read a report.json. Raises DataError where it is not one."""
    return from_json(read_text(path), source=str(path))


def from_json(text: str, *, source: str = "the report") -> Evaluation:
    """The inverse of :meth:`Evaluation.to_json`; ``source`` is for errors."""
    values = parse_json(text, name=source)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise DataError(f"{source} is not a report: expected what `python -m eval score --json` writes ({FORMAT!r})")
    try:
        evaluation = _build(Evaluation, values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{source} is a damaged report: {type(error).__name__} {error}") from error
    evaluation.check()
    return evaluation


def _build(hint: Any, value: Any) -> Any:
    """``value`` from JSON as the type says: dataclasses from objects, tuples from lists."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(**{name: _build(hints[name], value[name]) for name in hints})
    if origin is tuple:
        return tuple(_build(arguments[0], item) for item in value)
    if origin is dict:
        return {key: _build(arguments[1], item) for key, item in value.items()}
    if value is not None and hint is float:
        return float(value)
    return value
