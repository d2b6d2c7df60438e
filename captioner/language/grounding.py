"""Lets the search say the nouns that the classifier sees, also those that training captions hardly have.

Three conditions change the decoder's log-probabilities; none is trained with it.

- The noun pointer, as in pointer-generator networks (See et al. 2017): the decoder decides when a noun comes, and the
  classifier which one. Its probability of any noun is shared with the unfamiliar nouns that the classifier sees.
- Constrained beam search (Anderson et al. 2017): a second beam holds sentences that say the likeliest unfamiliar noun.
- Where the people detector finds nobody, no word for a person can be said.

It knows no model. The functions take arrays of numpy or of torch alike.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captioner.language.pieces import Pieces

State = tuple[Any, ...]
Step = Callable[[Any, State], tuple[Any, State]]
_PEOPLE = """
    man men woman women boy boys girl girls person people child children kid kids baby babies toddler toddlers lady
    ladies guy guys player players crowd group someone somebody male female couple adult adults teenager teenagers
    infant cyclist skier skateboarder snowboarder surfer climber hiker rider riders dancer dancers friend friends
    family team cook chef singer band biker bikers
"""
PEOPLE = frozenset(_PEOPLE.split())
"""Words that say a person."""
NOUN_PRIOR = 0.03
"""Probability of an unfamiliar noun in any clip."""
_REQUIRED = math.e * NOUN_PRIOR
"""A noun as probable as this gets a beam of its own: it can gain a nat."""
_SHARE = 0.9
"""Of the decoder's probability of nouns the share that an unfamiliar noun of probability 1 takes over."""
_NEVER = -math.inf


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Which tokens say nouns and people. Tokens from ``size`` on are new: nouns that have no piece of their own."""

    names: tuple[str, ...]
    """The classifier's N nouns."""
    size: int
    """V: the decoder's own tokens."""
    columns: np.ndarray
    """(M,) the unfamiliar nouns: their columns among the classifier's nouns."""
    tokens: np.ndarray
    """(M,) the token that says each of them."""
    said: np.ndarray
    """(S,) the decoder's own tokens that say a noun."""
    people: np.ndarray
    """(Q,) the decoder's own tokens that say a person."""
    inputs: np.ndarray
    """(V + E,) the token that the decoder reads for each: its own, or that of the noun that looks most alike."""
    pieces: Pieces
    """What all of them spell."""


def make_lexicon(pieces: Pieces, *, names: Sequence[str], alike: np.ndarray, familiar: Container[str]) -> Lexicon:
    """The lexicon of a vocabulary.

    ``names`` are the classifier's N nouns, ``alike`` (N, N) says how much alike they look, and ``familiar`` are the
    words that many training captions have.
    """
    own = {
        spelled.decode("utf-8", "ignore").strip(): i for i, spelled in enumerate(pieces.spelled) if spelled[:1] == b" "
    }
    people = {own[word] for word in PEOPLE if word in own}
    known = [column for column, name in enumerate(names) if name in own and own[name] not in people]
    added = [column for column, name in enumerate(names) if name not in own]
    size = len(pieces)
    token = {**{column: own[names[column]] for column in known}, **{c: size + i for i, c in enumerate(added)}}
    stand_ins = [own[names[max(known, key=lambda other: alike[column, other])]] for column in added] if known else []
    plurals = {own[f"{names[column]}s"] for column in known if f"{names[column]}s" in own}
    columns = [column for column in token if names[column] not in familiar] if known else []
    return Lexicon(
        names=tuple(names),
        size=size,
        columns=np.array(columns, dtype=np.int64),
        tokens=np.array([token[column] for column in columns], dtype=np.int64),
        said=np.array(sorted({own[names[column]] for column in known} | plurals - people), dtype=np.int64),
        people=np.array(sorted(people), dtype=np.int64),
        inputs=np.array([*range(size), *stand_ins], dtype=np.int64),
        pieces=Pieces([*pieces.spelled, *(f" {names[column]}".encode() for column in added[: len(stand_ins)])]),
    )


def ground(log_probs: Any, lexicon: Lexicon, *, noun_probs: Any, nobody: Any) -> Any:
    """Log-probabilities (..., K, V + E) from the decoder's (..., K, V).

    ``noun_probs`` (..., M) are of the lexicon's nouns in each clip and sum to 1 at most; ``nobody`` (...) is True where
    no person can be said.
    """
    lib = _library(log_probs)
    new = lib.full_like(log_probs[..., : len(lexicon.inputs) - lexicon.size], _NEVER)
    log_probs = lib.concatenate([log_probs, new], -1)
    if len(lexicon.people) and nobody.any():
        people = lib.exp(log_probs[..., lexicon.people]).sum(-1).clip(0, 1 - 1e-6)
        log_probs = log_probs - (lib.log1p(-people) * nobody[..., None])[..., None]  # the rest sums to 1 again
        log_probs[..., lexicon.people] = lib.where(
            nobody[..., None, None], new[..., :1], log_probs[..., lexicon.people]
        )
    if len(lexicon.columns):
        taken = _SHARE * noun_probs[..., None, :]  # (..., 1, M)
        of_nouns = lib.exp(log_probs[..., lexicon.said]).sum(-1)[..., None]
        log_probs[..., lexicon.said] += lib.log1p(-taken.sum(-1))[..., None]
        pointed = lib.log((of_nouns * taken).clip(1e-30, 1))
        log_probs[..., lexicon.tokens] = lib.logaddexp(log_probs[..., lexicon.tokens], pointed)
    return log_probs


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What the search of one clip, or of a batch of clips (...), is conditioned on: arrays of numpy, or of torch."""

    lexicon: Lexicon
    noun_probs: Any
    """(..., M) of the lexicon's nouns."""
    nobody: Any
    """(...) bool: no person can be said."""
    token: Any
    """(...) the token that a second beam has to say, -1 for none."""

    def step(self, step: Step) -> Step:
        """``step`` under this condition."""

        def conditioned(tokens: Any, state: State) -> tuple[Any, State]:
            log_probs, after = step(self.lexicon.inputs[tokens], state)
            return ground(log_probs, self.lexicon, noun_probs=self.noun_probs, nobody=self.nobody), after

        return conditioned


def required_token(noun_probs: np.ndarray, lexicon: Lexicon) -> int:
    """The token of the likeliest of the lexicon's nouns (M,); -1 where none is likely."""
    if not len(noun_probs) or noun_probs.max() < _REQUIRED:
        return -1
    return int(lexicon.tokens[noun_probs.argmax()])


def clip_nouns(noun_probs: np.ndarray, reliability: np.ndarray) -> np.ndarray:
    """Probabilities (N,) of the nouns in a clip from those in its frames (T, N).

    They are the mean over the frames with noun probabilities, times the reliability (N,) of each noun.
    """
    read = noun_probs[(noun_probs != 0).any(axis=1)]
    if not len(read):
        return np.zeros(noun_probs.shape[1], dtype=np.float32)
    probabilities = read.mean(axis=0) * reliability
    return np.asarray(probabilities / max(1.0, float(probabilities.sum())), dtype=np.float32)


def _library(array: Any) -> Any:
    """numpy, or torch for its tensors."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]
