"""Calibration: maps a caption's log-probability, its length and what was seen to the chance that it is good.

Fitted by ``python -m eval calibrate`` on validation clips and kept in the checkpoint's config.json. A model's own
probabilities say how likely its words are to it, not how often it is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from captioner.config import require


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Platt's map (1999) of the mean log-probability of a caption's tokens, with what else tells a good caption."""

    intercept: float
    slope: float
    """Not negative: a likelier caption never has less confidence."""
    moving: float = 0.0
    """Added for clips of more than one frame: what people say of videos agrees more, or less, than of photos."""
    words: float = 0.0
    """Added for each word: the more a caption says, the more can be wrong."""
    seen: float = 0.0
    """Times the probability of the likeliest noun that the CNN's own classifier saw."""
    support: float = 0.0
    """Times the mean probability that the CNN's detector of words gives to the caption's."""
    match: float = 0.0
    """Times the cosine of the caption and the clip, by the retriever."""
    good: str
    """What the confidence is the chance of, in one sentence."""
    fitted_on: tuple[str, ...]
    """Manifests, their digests and split."""
    clips: int
    good_share: float
    """Share of the captions of those clips that were good."""
    log_loss: float
    """Mean -log(chance given to what was the case), cross-validated, in nats ..."""
    constant_log_loss: float
    """... and that of saying ``good_share`` of every clip."""
    weights: str
    """SHA-256 of the weights it was fitted to: it says nothing of any others."""

    def __post_init__(self) -> None:
        numbers = ("intercept", "slope", "moving", "words", "seen", "support", "match", "log_loss", "constant_log_loss")
        for name in numbers:
            value = getattr(self, name)
            require(math.isfinite(value), f"calibration.{name} is {value}; it must be finite")
        require(self.slope >= 0, f"calibration.slope is {self.slope}; it must not be negative")
        require(0 < self.good_share < 1, f"calibration.good_share is {self.good_share}; it must be between 0 and 1")
        require(self.clips >= 1, f"calibration.clips is {self.clips}; it must be at least 1")

    def confidence(
        self,
        mean_log_prob: float,
        *,
        moving: bool,
        words: int,
        seen: float,
        support: float = 0.0,
        match: float = 0.0,
        rendered: float = 0.0,
    ) -> float:
        """The probability, 0 to 1, that a caption with this mean log-probability of its tokens (eos included) is good.

        ``seen`` is the probability of the likeliest noun in its evidence, 0 without any. ``support`` is the caption's
        own, 0 without a detector of words, and ``match`` is 0 without a retriever. ``rendered`` is the probability that
        the clip shows graphics, of whose captions none is good.
        """
        x = self.intercept + self.slope * mean_log_prob + self.moving * moving + self.words * words
        x += self.seen * seen + self.support * support + self.match * match
        chance = 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
        return chance * (1 - rendered)
