"""Compares a caption's nouns with what the CNN's classifier saw, and replaces a wrong or vague noun by a sure one."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import cache
from itertools import compress, zip_longest
from typing import TYPE_CHECKING

from captioner.caption.result import DetectedNoun
from captioner.vision.nouns import nouns

if TYPE_CHECKING:
    import numpy as np


LEAST = 0.05
"""Nouns less probable than this are not told."""
SURE = 0.5
"""A noun as probable as this takes the place of a broader one, or of another of its kind that was not seen ..."""
UNSEEN = 0.02
"""... which is one less probable than this."""
LIKELY = 0.3
"""What training captions hardly name, the decoder cannot say: such a noun takes the place of one of its kind that was
not seen when it and its like are together as probable as this."""
_LAST_ANIMAL = 397
_KINDS = (
    {"accordion", "guitar", "banjo", "cello", "drum", "flute", "trumpet", "piano", "harmonica", "harp", "saxophone"}
    | {"trombone", "violin"},
    {
        "airplane",
        "ambulance",
        "bicycle",
        "boat",
        "car",
        "train",
        "bus",
        "truck",
        "ship",
        "tractor",
        "tank",
        "motorcycle",
    }
    | {"fire truck", "forklift", "go-kart", "snowmobile", "tram", "unicycle", "jeep"},
)


def read_frames(noun_probs: np.ndarray, times_seconds: Sequence[float]) -> tuple[np.ndarray, tuple[float, ...]]:
    """The rows of ``noun_probs`` (T, N) that were read, and their times: rows of zeros were not."""
    read = (noun_probs != 0).any(axis=1)
    return noun_probs[read], tuple(compress(times_seconds, read.tolist()))


def detected_nouns(
    noun_probs: np.ndarray, times_seconds: Sequence[float], *, said: list[str]
) -> tuple[DetectedNoun, ...]:
    """The likeliest nouns of a clip, from their probabilities (T, N) in its frames; ``said`` is its caption."""
    mean = noun_probs.mean(axis=0)
    found = [
        DetectedNoun(
            noun=nouns()[column].name,
            probability=float(mean[column]),
            peak_seconds=times_seconds[int(noun_probs[:, column].argmax())],
            used=f" {nouns()[column].name} " in f" {' '.join(said)} ",
        )
        for column in (-mean).argsort(kind="stable")[:5].tolist()
    ]
    return tuple(noun for noun in found if noun.probability >= LEAST)


def correct_nouns(words: list[str], probabilities: np.ndarray, *, familiar: Container[str] | None = None) -> list[str]:
    """A caption's words, some replaced by the noun that was seen for certain, from the mean probabilities (N,).

    It takes the place of a broader noun ("bird": "cockatoo"), and of one of the same kind that was not seen at all ("a
    dog is walking": "an elephant is walking"); the latter sooner where it is not ``familiar``, a word that many
    training captions have. The article before a noun of the table fits it.
    """
    mistaken = _mistaken(words, probabilities, familiar)
    if mistaken is not None:
        place, name = mistaken
        words = [*words[:place], name, *words[place + 1 :]]
    return [
        _article(after) if word in ("a", "an") and after in _columns() else word
        for word, after in zip_longest(words, words[1:], fillvalue="")
    ]


def _mistaken(words: list[str], probabilities: np.ndarray, familiar: Container[str] | None) -> tuple[int, str] | None:
    """The place of a wrong or vague noun, and the one that belongs there; None where nothing is to be changed."""
    best = int(probabilities.argmax())
    seen, name = nouns()[best], nouns()[best].name
    alike = [column for column, noun in enumerate(nouns()) if noun.broader == seen.broader]
    sure, together = float(probabilities[best]) >= SURE, float(probabilities[alike].sum())
    likely = familiar is not None and name not in familiar and together >= LIKELY
    if name in words or not (sure or likely):
        return None
    if not sure and any(probabilities[column] > probabilities[best] / 2 for column in alike if column != best):
        name = seen.broader  # "bird", where it may be a parrot as well
    said = set(name.split())
    free = [(i, word) for i, word in enumerate(words) if not said & {*words[:i], *words[i + 1 :]}]
    for place, word in free:
        if word == seen.broader or (word == "animal" and _kind(name) == "animal"):
            return (place, name) if sure else None  # vague, but right
    for place, word in free:
        column = _columns().get(word)
        if column is not None and _kind(word) and _kind(word) == _kind(seen.name) and probabilities[column] < UNSEEN:
            return place, name
    return None


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" and not noun.startswith("uni") else "a"


@cache
def _columns() -> dict[str, int]:
    return {noun.name: column for column, noun in enumerate(nouns())}


@cache
def _kind(name: str) -> str:
    """Nouns of one kind are taken for each other; empty for one of its own."""
    noun = next((noun for noun in nouns() if noun.name == name), None)
    if noun is None:
        return ""
    if max(noun.classes) <= _LAST_ANIMAL or noun.classes[0] <= _LAST_ANIMAL:
        return "animal"
    return next((f"kind {number}" for number, kind in enumerate(_KINDS) if name in kind), "")
