"""A sentence that a search found: torch's search and numpy's find the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """A sentence with its scores."""

    tokens: tuple[int, ...]
    """Without bos and eos."""
    log_prob: float
    """Natural logarithm of the sentence's probability under the model, eos included when ``finished``."""
    score: float
    """What hypotheses are ranked by: ``log_prob / length_penalty(length, alpha)``."""
    finished: bool
    """Whether it ends in eos. If not it was cut: at max_length, or where no token was possible."""
    token_log_probs: tuple[float, ...] = ()
    """Of each token, and of eos when ``finished``; the model's own, whatever the choice was made by. Numpy's search
    leaves them out."""
