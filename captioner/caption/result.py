"""A caption with its words, attention, alternatives and evidence: the values that every output is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

UNSURE = "unsure: "
"""Prefix of a caption with low confidence."""


class Place(NamedTuple):
    """The file and the span that a clip comes from."""

    path: str
    start_seconds: float
    end_seconds: float | None
    """None: to the end."""


NOWHERE = Place("", 0.0, None)
"""Of frames that come from no file."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word of a caption with its attention over the frames."""

    text: str
    attention: tuple[float, ...]
    """One share for each frame (T); they sum to 1."""
    peak_seconds: float
    """Time of the frame with the most attention."""
    grid: tuple[tuple[float, ...], ...] = ()
    """With a spatial grid: the share of each place in each frame (T, P), row by row from the top left."""
    gates: tuple[float, float] | None = None
    """Mean activation of the GRU's update and reset gates at this word, 0 to 1; None for other cells."""


@dataclass(frozen=True, kw_only=True)
class DetectedNoun:
    """A noun that the CNN's ImageNet classifier detects in a clip."""

    noun: str
    probability: float
    """The mean over the clip's frames."""
    peak_seconds: float
    """Time of the frame with the highest probability."""
    used: bool = False
    """Whether the caption has it."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A hypothesis of the n-best list."""

    text: str
    score: float
    log_prob: float


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """What an index keeps of a clip beside its caption."""

    vector: bytes
    """By the retriever: float16 numbers of a unit vector."""
    words: tuple[DetectedNoun, ...] = ()
    """Detected words, likeliest first."""
    thumbnail: bytes = b""
    """A WebP picture; empty where none is kept."""
    features: bytes = b""
    """Means of the captioner's features over the frames, float16; empty where they are not kept."""


@dataclass(frozen=True, kw_only=True)
class Caption:
    """The caption of one clip, with everything it was made from."""

    path: str
    id: str = ""
    """Its name in a manifest; empty outside one."""
    text: str
    score: float
    """Log-probability with length penalty: the order of the search, before reranking."""
    log_prob: float
    """Log-probability of the whole caption."""
    confidence: float
    """If ``calibrated``: the probability that the caption is good, as the checkpoint's ``Calibration.good`` defines it.
    Else the geometric mean of its token probabilities, which only ranks captions."""
    calibrated: bool = False
    """Whether the confidence is a probability."""
    abstained: bool = False
    """Whether the confidence is below the threshold ``SearchConfig.min_confidence``."""
    words: tuple[Word, ...]
    alternatives: tuple[Alternative, ...]
    """The n-best list in reranked order, this caption first."""
    times_seconds: tuple[float, ...]
    """Times of the sampled frames."""
    start_seconds: float
    end_seconds: float | None
    """The part that was captioned; None when the length is not known."""
    scene_seconds: tuple[float, float] | None = None
    """Start and end of the scene that the caption describes, where the part has several; None: all of the part."""
    warnings: tuple[str, ...]
    model: str
    """Fingerprint of the checkpoint."""
    evidence: tuple[DetectedNoun, ...] = ()
    """Nouns that the CNN's ImageNet classifier detects, likeliest first; empty without one."""
    support: float | None = None
    """Mean probability of the caption's words by the word detector; None without one."""
    match: float | None = None
    """Cosine of the caption and the clip, by the retriever; None without one."""

    embedding: Embedding | None = None
    """For an index only."""

    @property
    def told(self) -> str:
        """The text, prefixed ``unsure:`` if its confidence is low."""
        return UNSURE * self.abstained + self.text
