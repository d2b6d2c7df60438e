"""Lets the search say the nouns and actions that are detected, also those that training captions hardly have.

Four conditions change the decoder's log-probabilities; none is trained with it.

- The noun pointer, as in pointer-generator networks (See et al. 2017): the decoder decides when a noun comes, and the
  classifier which one. Its probability of any noun is shared with the unfamiliar nouns that the classifier sees.
- The same for actions: after "is" its probability of any verb is shared with what people are detected to do. An action
  ("brushing teeth") is one token to the search, which the decoder reads piece by piece.
- Constrained beam search (Anderson et al. 2017): a second beam holds sentences that say the likeliest unfamiliar noun.
- Where the people detector finds nobody, no word for a person can be said; where another finds it unlikely that
  captions say several, no word for several people or animals.

It knows no model. The functions take arrays of numpy or of torch alike.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captioner.language.hypothesis import Hypothesis
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
_SEVERAL = """
    two three four five several group men women boys girls people children kids babies toddlers ladies guys players
    crowd adults teenagers riders dancers couple friends family team band bikers
"""
SEVERAL = frozenset(_SEVERAL.split())
"""Words that say several people or animals."""
NOUN_PRIOR = 0.03
"""Probability of an unfamiliar noun in any clip."""
_REQUIRED = math.e * NOUN_PRIOR
"""A noun as probable as this gets a beam of its own: it can gain a nat."""
_SHARE = 0.9
"""Of the decoder's probability of nouns the share that an unfamiliar noun of probability 1 takes over; of verbs, an
action."""
_NEVER = -math.inf


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Which tokens say nouns, people and actions. Tokens from ``size`` on are new: E nouns that have no piece of their
    own, then F actions of several pieces.
    """

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
    several: np.ndarray
    """(R,) the decoder's own tokens that say several people or animals."""
    inputs: np.ndarray
    """(V + E + F,) the token that the decoder reads for each: its own, that of the noun that looks most alike, or the
    first of the action."""
    acts: np.ndarray
    """(A,) the token that says each of the detector's actions."""
    rest: np.ndarray
    """(F, L) the tokens that the decoder reads after the first, -1 after the last."""
    verbs: np.ndarray
    """(G,) the decoder's own tokens that say what somebody is doing."""
    being: np.ndarray
    """(2,) the decoder's own tokens that come before a verb: "is", "are"."""
    pieces: Pieces
    """What all of them spell."""


def make_lexicon(
    pieces: Pieces,
    *,
    names: Sequence[str],
    alike: np.ndarray,
    familiar: Container[str],
    actions: Sequence[Sequence[int]] = (),
) -> Lexicon:
    """The lexicon of a vocabulary.

    ``names`` are the classifier's N nouns, ``alike`` (N, N) says how much alike they look, and ``familiar`` are the
    words that many training captions have. ``actions`` are the decoder's tokens of each of the detector's actions.
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
    long = [tuple(action) for action in actions if len(action) > 1]
    act = {(token,): token for token in range(size)} | {
        action: size + len(stand_ins) + place for place, action in enumerate(long)
    }
    longest = max(map(len, long), default=1)
    rest = np.array([[*action[1:], *[-1] * (longest - len(action))] for action in long], dtype=np.int64)
    return Lexicon(
        names=tuple(names),
        size=size,
        columns=np.array(columns, dtype=np.int64),
        tokens=np.array([token[column] for column in columns], dtype=np.int64),
        said=np.array(sorted({own[names[column]] for column in known} | plurals - people), dtype=np.int64),
        people=np.array(sorted(people), dtype=np.int64),
        several=np.array(sorted(own[word] for word in SEVERAL if word in own), dtype=np.int64),
        inputs=np.array([*range(size), *stand_ins, *(action[0] for action in long)], dtype=np.int64),
        acts=np.array([act[action] for action in map(tuple, actions)], dtype=np.int64),
        rest=rest.reshape(len(long), longest - 1),
        verbs=np.array(sorted(own[word] for word in own if word.endswith("ing") and len(word) > 4), dtype=np.int64),
        being=np.array([own[word] for word in ("is", "are") if word in own], dtype=np.int64),
        pieces=Pieces(
            [
                *pieces.spelled,
                *(f" {names[column]}".encode() for column in added[: len(stand_ins)]),
                *(b"".join(pieces.spelled[token] for token in action) for action in long),
            ]
        ),
    )


def ground(
    log_probs: Any, lexicon: Lexicon, *, noun_probs: Any, action_probs: Any, after_being: Any, nobody: Any, alone: Any
) -> Any:
    """Log-probabilities (..., K, V + E + F) from the decoder's (..., K, V).

    ``noun_probs`` (..., M) are of the lexicon's nouns in each clip, ``action_probs`` (..., A) of its actions; either
    sums to 1 at most. ``after_being`` (..., K) says where an action can come; ``nobody`` (...) is True where no person
    can be said, ``alone`` (...) where not several people or animals can.
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
    if len(lexicon.acts) and after_being.any():
        taken = _SHARE * action_probs[..., None, :] * after_being[..., None]  # (..., K, A)
        of_verbs = lib.exp(log_probs[..., lexicon.verbs]).sum(-1)[..., None]
        log_probs[..., lexicon.verbs] += lib.log1p(-taken.sum(-1))[..., None]
        pointed = lib.where(taken > 0, lib.log((of_verbs * taken).clip(1e-30, 1)), lib.full_like(taken, _NEVER))
        log_probs[..., lexicon.acts] = lib.logaddexp(log_probs[..., lexicon.acts], pointed)
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

    def step(self, step: Step) -> Step:
        """``step`` under this condition."""

        def conditioned(tokens: Any, state: State) -> tuple[Any, State]:
            log_probs, after = read_on(step, tokens, *step(self.lexicon.inputs[tokens], state), lexicon=self.lexicon)
            grounded = ground(
                log_probs,
                self.lexicon,
                noun_probs=self.noun_probs,
                action_probs=self.action_probs,
                after_being=(tokens[..., None] == self.lexicon.being).any(-1),
                nobody=self.nobody,
                alone=self.alone,
            )
            return grounded, after

        return conditioned


def read_on(step: Step, tokens: Any, log_probs: Any, state: State, *, lexicon: Lexicon) -> tuple[Any, State]:
    """What follows the last piece of an action, where ``log_probs`` (..., K, V) and ``state`` are of its first."""
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


def says_several(words: Sequence[str]) -> bool:
    """Whether the subject of a sentence is several: "two men", "a group of dogs", "a man and a woman"."""
    start = words[:4]
    return not SEVERAL.isdisjoint(start) or ("and" in start and len(PEOPLE.intersection(words[:7])) > 1)


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
