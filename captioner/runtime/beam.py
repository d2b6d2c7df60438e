"""Beam search in numpy over a step function, for one clip: the same sentences as ``language.search`` finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from captioner.language.config import SearchConfig

State = tuple[np.ndarray, ...]
"""What the hypotheses carry, each (K, ...)."""

Step = Callable[[np.ndarray, State], tuple[np.ndarray, State]]
"""Tokens (K,) int64 and state -> log-probabilities (K, V) float32 and the next state."""

Banks = Callable[[np.ndarray, State], np.ndarray]
"""Log-probabilities (K, V) and the state that they continue -> bool (K, V): the continuations of the first bank."""

_ECHO = 4


@dataclass(frozen=True)
class Sentence:
    """A sentence that was found."""

    tokens: tuple[int, ...]
    """Without bos and eos."""
    log_prob: float
    score: float
    length: int
    """Tokens that the log-probability is of: eos included where it ends in one."""


def beam_search(
    step: Step,
    state: State,
    *,
    config: SearchConfig,
    bos_id: int,
    eos_id: int,
    banned: tuple[int, ...],
    begins_word: np.ndarray,
    banks: Banks | None = None,
) -> list[Sentence]:
    """The ``n_best`` best sentences, best first; ``state`` holds one hypothesis, (1, ...).

    Ends as ``language.search`` does: once no running hypothesis can outscore the worst that is to be returned.
    """
    tokens, history = np.array([bos_id]), np.empty((1, 0), np.int64)
    running = np.zeros(1, np.float32)
    finished: list[Sentence] = []
    for length in range(1, config.max_length + 1):
        log_probs, state = step(tokens, state)
        allowed = np.where(np.isfinite(log_probs), log_probs, -np.inf)
        allowed[:, [token for token in banned if token != eos_id]] = -np.inf
        if length <= config.min_length:
            allowed[:, eos_id] = -np.inf
        for row, said in zip(allowed, history, strict=True):
            row[_repeats(said, config.no_repeat_ngram)] = -np.inf
            if config.no_repeat_word:
                row[_echoes(said, begins_word)] = -np.inf
        scores = (allowed + running[:, None]).ravel()
        if banks is None:
            place, running = _likeliest(scores, config.beams)
        else:
            first = banks(log_probs, state).ravel()
            both = [_likeliest(np.where(bank, scores, -np.inf), max(1, config.beams // 2)) for bank in (first, ~first)]
            place, running = (np.concatenate(parts) for parts in zip(*both, strict=True))
        parent, tokens = place // allowed.shape[1], place % allowed.shape[1]
        history = np.concatenate([history[parent], tokens[:, None]], axis=1)
        state = tuple(part[parent] for part in state)
        penalty = _penalty(length, config)
        finished += [
            Sentence(tuple(said[:-1].tolist()), float(total), float(total / penalty), length)
            for said, total in zip(history, running, strict=True)
            if said[-1] == eos_id and total > -np.inf
        ]
        finished = sorted(finished, key=lambda sentence: -sentence.score)[: config.n_best]
        running = np.where(tokens == eos_id, np.float32(-np.inf), running)
        bound = running.max() / max(_penalty(length + 1, config), _penalty(config.max_length, config))
        if bound == -np.inf or (len(finished) == config.n_best and bound <= finished[-1].score):
            break
    live = sorted(
        (
            Sentence(tuple(said.tolist()), float(total), float(total / penalty), length)
            for said, total in zip(history, running, strict=True)
            if total > -np.inf
        ),
        key=lambda sentence: -sentence.score,
    )
    return (finished + live)[: config.n_best] or [Sentence((), 0.0, 0.0, 0)]


def _likeliest(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the ``count`` highest scores are, highest first, and these scores."""
    count = min(count, len(scores))
    place = np.argpartition(-scores, count - 1)[:count]
    place = place[np.argsort(-scores[place], kind="stable")]
    return place, scores[place]


def _penalty(length: int, config: SearchConfig) -> float:
    return float(((5 + length) / 6) ** config.length_penalty)


def _repeats(said: np.ndarray, size: int) -> list[int]:
    """Tokens that would complete an n-gram of ``size`` that was said before."""
    if not 0 < size <= len(said):
        return []
    grams = np.lib.stride_tricks.sliding_window_view(said, size)
    same = (grams[:, :-1] == said[len(said) - size + 1 :]).all(axis=1)
    return list(grams[same, -1].tolist())


def _echoes(said: np.ndarray, begins_word: np.ndarray) -> list[int]:
    """Tokens that would say the words just said once more."""
    found = []
    for size in range(1, min(_ECHO, (len(said) + 1) // 2) + 1):
        before = said[len(said) + 1 - 2 * size : len(said) + 1 - size]
        now = said[len(said) + 1 - size :]
        if begins_word[before[0]] and (before[:-1] == now).all():
            found.append(int(before[-1]))
    return found
