"""Lets the search say the nouns and actions that are detected, also those that training captions hardly have.

Five conditions change the decoder's log-probabilities; none is trained with it.

- The noun pointer, as in pointer-generator networks (See et al. 2017): the decoder decides when a noun comes, and the
  classifier which one. Its probability of any noun is shared with the unfamiliar nouns that the classifier sees.
- The same for actions: after "is" its probability of any verb is shared with what people are detected to do. An action
  ("brushing teeth") is one token to the search, which the decoder reads piece by piece. It comes after a person.
- Constrained beam search (Anderson et al. 2017): a second beam holds sentences that say the likeliest unfamiliar noun.
- Where the people detector finds nobody, no word for a person can be said; where another finds it unlikely that
  captions say several, no word for several people or animals.
- Nothing is named twice: no "bike on a bicycle", and no "dog with a dog".

It knows no model. The functions take arrays of numpy or of torch alike.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captioner.language.hypothesis import Hypothesis
from captioner.language.lexicon import Lexicon

State = tuple[Any, ...]
Step = Callable[[Any, State], tuple[Any, State]]
NOUN_PRIOR = 0.03
"""Probability of an unfamiliar noun in any clip."""
_REQUIRED = math.e * NOUN_PRIOR
"""A noun as probable as this gets a beam of its own: it can gain a nat."""
_SHARE = 0.9
"""Of the decoder's probability of nouns the share that an unfamiliar noun of probability 1 takes over; of verbs, an
action."""
_NEVER = -math.inf


def ground(
    log_probs: Any,
    lexicon: Lexicon,
    *,
    noun_probs: Any,
    action_probs: Any,
    acting: Any,
    nobody: Any,
    alone: Any,
    said: Any,
) -> Any:
    """Log-probabilities (..., K, V + E + F) from the decoder's (..., K, V).

    ``noun_probs`` (..., M) are of the lexicon's nouns in each clip, ``action_probs`` (..., A) of its actions; either
    sums to 1 at most. ``acting`` (..., K) says where an action can come; ``nobody`` (...) is True where no person can
    be said, ``alone`` (...) where not several people or animals can. ``said`` (..., K, H) is True where one of
    ``lexicon.named`` would name something once more.
    """
    lib = _library(log_probs)
    never = lib.full_like(log_probs[..., :1], _NEVER)
    new = lib.broadcast_to(never, (*never.shape[:-1], len(lexicon.inputs) - lexicon.size))
    log_probs = lib.concatenate([log_probs, new], -1)
    for tokens, unsaid in ((lexicon.people, nobody), (lexicon.several, alone)):
        if len(tokens) and unsaid.any():
            taken = lib.exp(log_probs[..., tokens]).sum(-1).clip(0, 1 - 1e-6)
            log_probs = log_probs - (lib.log1p(-taken) * unsaid[..., None])[..., None]  # the rest sums to 1 again
            log_probs[..., tokens] = lib.where(unsaid[..., None, None], never, log_probs[..., tokens])
    if len(lexicon.columns):
        taken = _SHARE * noun_probs[..., None, :]  # (..., 1, M)
        of_nouns = lib.exp(log_probs[..., lexicon.said]).sum(-1)[..., None]
        log_probs[..., lexicon.said] += lib.log1p(-taken.sum(-1))[..., None]
        pointed = lib.log((of_nouns * taken).clip(1e-30, 1))
        log_probs[..., lexicon.tokens] = lib.logaddexp(log_probs[..., lexicon.tokens], pointed)
    if len(lexicon.acts) and acting.any():
        taken = _SHARE * action_probs[..., None, :] * acting[..., None]  # (..., K, A)
        of_verbs = lib.exp(log_probs[..., lexicon.verbs]).sum(-1)[..., None]
        log_probs[..., lexicon.verbs] += lib.log1p(-taken.sum(-1))[..., None]
        pointed = lib.where(taken > 0, lib.log((of_verbs * taken).clip(1e-30, 1)), lib.full_like(taken, _NEVER))
        log_probs[..., lexicon.acts] = lib.logaddexp(log_probs[..., lexicon.acts], pointed)
    if said.any():
        log_probs[..., lexicon.named] = lib.where(said, never, log_probs[..., lexicon.named])
    return log_probs


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What the search of one clip, or of a batch of clips (...), is conditioned on: arrays of numpy, or of torch."""

    lexicon: Lexicon
    noun_probs: Any
    """(..., M) of the lexicon's nouns."""
    action_probs: Any
    """(..., A) of the lexicon's actions."""
    nobody: Any
    """(...) bool: no person can be said."""
    alone: Any
    """(...) bool: not several people or animals can be said."""
    token: Any
    """(...) the token that a second beam has to say, -1 for none."""

    def start(self, state: State) -> State:
        """``state`` before the first word, with which of the lexicon's tokens name something that was said: none."""
        kinds = self.lexicon.kinds[self.lexicon.named]
        return (*state, _library(kinds).broadcast_to(kinds == 0, (*self.nobody.shape, 1, len(kinds))))

    def step(self, step: Step) -> Step:
        """``step`` under this condition, from the states of :meth:`start`."""
        lexicon = self.lexicon
        kinds = lexicon.kinds[lexicon.named]

        def conditioned(tokens: Any, state: State) -> tuple[Any, State]:
            *own, said = state
            said = said | (lexicon.kinds[tokens][..., None] == kinds)
            log_probs, after = read_on(step, tokens, *step(lexicon.inputs[tokens], tuple(own)), lexicon=lexicon)
            grounded = ground(
                log_probs,
                lexicon,
                noun_probs=self.noun_probs,
                action_probs=self.action_probs,
                acting=(tokens[..., None] == lexicon.being).any(-1) & (said & (kinds < 0)).any(-1),
                nobody=self.nobody,
                alone=self.alone,
                said=said,
            )
            return grounded, (*after, said)

        return conditioned


def read_on(step: Step, tokens: Any, log_probs: Any, state: State, *, lexicon: Lexicon) -> tuple[Any, State]:
    """The word after an action of several pieces, where ``log_probs`` (..., K, V) and ``state`` are of its first."""
    first = len(lexicon.inputs) - len(lexicon.rest)
    several = tokens >= first  # (..., K)
    if not several.any():
        return log_probs, state
    lib = _library(log_probs)
    rest = lexicon.rest[(tokens - first).clip(0)]  # (..., K, L)
    for place in range(rest.shape[-1]):
        goes_on = several & (rest[..., place] >= 0)
        if not goes_on.any():
            break
        next_probs, after = step(rest[..., place].clip(0), state)
        log_probs = lib.where(goes_on[..., None], next_probs, log_probs)
        state = tuple(lib.where(goes_on[..., None], new, old) for new, old in zip(after, state, strict=True))
    inside = log_probs[..., lexicon.within]  # of a word, which the action has ended
    log_probs[..., lexicon.within] = lib.where(several[..., None], lib.full_like(inside, _NEVER), inside)
    return log_probs, state


def spelled_out(found: Sequence[Hypothesis], lexicon: Lexicon) -> list[Hypothesis]:
    """Sentences with each action as its pieces. Of those that become the same the first is kept."""
    distinct: dict[tuple[int, ...], Hypothesis] = {}
    for sentence in found:
        distinct.setdefault(_pieces(sentence.tokens, lexicon), sentence)
    return [replace(sentence, tokens=tokens) for tokens, sentence in distinct.items()]


def _pieces(tokens: Sequence[int], lexicon: Lexicon) -> tuple[int, ...]:
    first = len(lexicon.inputs) - len(lexicon.rest)
    spelled: list[int] = []
    for token in tokens:
        if token < first:
            spelled.append(token)
        else:
            spelled += [
                int(lexicon.inputs[token]),
                *(piece for piece in lexicon.rest[token - first].tolist() if piece >= 0),
            ]
    return tuple(spelled)


def required_token(noun_probs: np.ndarray, lexicon: Lexicon) -> int:
    """The token of the likeliest of the lexicon's nouns (M,); -1 where none is likely."""
    if not len(noun_probs) or noun_probs.max() < _REQUIRED:
        return -1
    return int(lexicon.tokens[noun_probs.argmax()])


def likely_actions(action_probs: np.ndarray) -> np.ndarray:
    """Probabilities (A,) of actions, with zeros below a half: a lake alone must not make people fish."""
    return np.where(action_probs >= 0.5, action_probs, 0).astype(np.float32)


def clip_nouns(noun_probs: np.ndarray, reliability: np.ndarray) -> np.ndarray:
    """Probabilities (N,) of the nouns in a clip from those in its frames (T, N).

    They are the mean over the frames with noun probabilities, times the reliability of each noun (N,), or of all (1,).
    """
    read = noun_probs[(noun_probs != 0).any(axis=1)]
    if not len(read):
        return np.zeros(noun_probs.shape[1], dtype=np.float32)
    probabilities = read.mean(axis=0) * reliability
    return np.asarray(probabilities / max(1.0, float(probabilities.sum())), dtype=np.float32)


def _library(array: Any) -> Any:
    """numpy, or torch for its tensors."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]
