"""Which tokens say nouns, people and actions: the vocabulary that a grounded search works with."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from captioner.language.pieces import Pieces

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
BEING = ("is", "are")
"""Words before what somebody is doing."""
_SAME = {"bike": "bicycle", "tv": "television", "sofa": "couch", "telephone": "phone"}
"""Words for a classifier's noun that it calls by another."""


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
    within: np.ndarray
    """(I,) the decoder's own tokens that go on within a word, which an action ends."""
    verbs: np.ndarray
    """(G,) the decoder's own tokens that say what somebody is doing."""
    being: np.ndarray
    """(2,) the decoder's own tokens that come before a verb: "is", "are"."""
    named: np.ndarray
    """(H,) the tokens that name a person or a thing; an action names its last word."""
    kinds: np.ndarray
    """(V + E + F,) what each token names: the same number for the same thing, below 0 for a person, 0 for nothing."""
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
    token = {column: own[names[column]] for column in known} | {c: size + i for i, c in enumerate(added)}
    stand_ins = [own[names[max(known, key=lambda other: alike[column, other])]] for column in added] if known else []
    plurals = {own[f"{names[column]}s"] for column in known if f"{names[column]}s" in own}
    columns = [column for column in token if names[column] not in familiar] if known else []
    long = [tuple(action) for action in actions if len(action) > 1]
    act: dict[tuple[int, ...], int] = {(token,): token for token in range(size)}
    act |= {action: place for place, action in enumerate(long, size + len(stand_ins))}
    spelled = [
        *pieces.spelled,
        *(f" {names[column]}".encode() for column in added[: len(stand_ins)]),
        *(b"".join(pieces.spelled[token] for token in action) for action in long),
    ]
    kinds = _kinds(spelled, names)
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
        rest=_rest(long),
        within=np.array([i for i, p in enumerate(pieces.spelled) if p and p[:1] != b" "], dtype=np.int64),
        verbs=np.array(sorted(own[word] for word in own if word.endswith("ing") and len(word) > 4), dtype=np.int64),
        being=np.array([own[word] for word in BEING if word in own], dtype=np.int64),
        named=kinds.nonzero()[0],
        kinds=kinds,
        pieces=Pieces(spelled),
    )


def _rest(actions: Sequence[tuple[int, ...]]) -> np.ndarray:
    longest = max(map(len, actions), default=1)
    rest = np.array([[*action[1:], *[-1] * (longest - len(action))] for action in actions], dtype=np.int64)
    return rest.reshape(len(actions), longest - 1)


def _kinds(spelled: Sequence[bytes], names: Sequence[str]) -> np.ndarray:
    number = {name: place for place, name in enumerate(names, 1)}
    number |= {word: number[name] for word, name in _SAME.items() if name in number}
    number |= {f"{word}s": place for word, place in number.items()}
    number |= {word: -place for place, word in enumerate(sorted(PEOPLE), 1)}
    last = [piece.decode("utf-8", "ignore").split(" ")[-1] if piece[:1] == b" " else "" for piece in spelled]
    return np.array([number.get(word, 0) for word in last], dtype=np.int64)


def says_several(words: Sequence[str]) -> bool:
    """Whether the subject of a sentence is several: "two men", "a group of dogs", "a man and a woman"."""
    start = words[:4]
    return not SEVERAL.isdisjoint(start) or ("and" in start and len(PEOPLE.intersection(words[:7])) > 1)
