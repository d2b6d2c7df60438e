"""A caption with its words, attention, alternatives and evidence: the values that every output is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from captioner.video.frames import Frames

UNSURE = "unsure: "
"""What stands before a caption that is not to be relied on."""


class Place(NamedTuple):
    """Where a clip comes from: what labels its result."""

    path: str
    start_seconds: float
    end_seconds: float | None
    """None: to the end."""

    def end(self, frames: Frames) -> float | None:
        """When it ends; None where that is not known."""
        return frames.duration_seconds if self.end_seconds is None else self.end_seconds


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word of a caption with its attention over the frames."""

    text: str
    attention: tuple[float, ...]
    """One share for each frame (T); they sum to 1."""
    peak_seconds: float
    """Time of the frame that was looked at most."""
    grid: tuple[tuple[float, ...], ...] = ()
    """With a spatial grid: the share of each place in each frame (T, P), row by row from the top left."""
    gates: tuple[float, float] | None = None
    """How far the GRU's update and reset gates opened as it wrote the word, 0 to 1, means over its units; None where
    the cell is no GRU."""


@dataclass(frozen=True, kw_only=True)
class DetectedNoun:
    """A noun that the CNN's own classifier finds in a clip."""

    noun: str
    probability: float
    """The mean over the clip's frames."""
    peak_seconds: float
    """Time of the frame where it was surest."""
    used: bool = False
    """Whether the caption says it."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Another hypothesis of the n-best list."""

    text: str
    score: float
    log_prob: float


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """What an index keeps of a clip beside its caption."""

    vector: bytes
    """By the retriever: float16 numbers of a unit vector."""
    words: tuple[DetectedNoun, ...] = ()
    """Words that were detected, likeliest first."""
    thumbnail: bytes = b""
    """A WebP picture; empty where none is kept."""


@dataclass(frozen=True, kw_only=True)
class Caption:
    """The caption of one clip, with everything it was made from."""

    path: str
    id: str = ""
    """Its name in a manifest; empty outside one."""
    text: str
    score: float
    """Length-penalised log-probability: what the search ranks by, before the detector of words has its say."""
    log_prob: float
    """Log-probability of the whole caption."""
    confidence: float
    """Where ``calibrated``: the chance that the caption is good, as ``Calibration.good`` of the checkpoint defines it.
    Else the geometric mean of its tokens' probabilities, which ranks captions but is no chance of anything."""
    calibrated: bool = False
    abstained: bool = False
    """Whether the confidence is below ``SearchConfig.min_confidence``: the text is a guess not to be relied on."""
    words: tuple[Word, ...]
    alternatives: tuple[Alternative, ...]
    """The n-best list, this caption first, in the order of the choice."""
    times_seconds: tuple[float, ...]
    """When each frame that was looked at is shown."""
    start_seconds: float
    end_seconds: float | None
    """The part that was captioned; None when the length is not known."""
    warnings: tuple[str, ...]
    model: str
    """Fingerprint of the checkpoint."""
    evidence: tuple[DetectedNoun, ...] = ()
    """Nouns that the CNN's own classifier saw, surest first; empty where the checkpoint has none."""
    support: float | None = None
    """Mean probability that the CNN's detector of words gives to those of the caption that it knows; None where the
    checkpoint has no detector."""

    embedding: Embedding | None = None
    """Where an index is made."""

    @property
    def told(self) -> str:
        """The text, marked where it is not to be relied on."""
        return UNSURE * self.abstained + self.text
