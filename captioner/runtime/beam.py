"""Beam search in numpy over a step function, for one clip: the same sentences as ``language.search`` finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from captioner.language.config import SearchConfig
from captioner.language.hypothesis import Hypothesis

State = tuple[np.ndarray, ...]
"""What the hypotheses carry, each (K, ...)."""

Step = Callable[[np.ndarray, State], tuple[np.ndarray, State]]
"""Tokens (K,) int64 and state -> log-probabilities (K, V) float32 and the next state."""

_ECHO = 4


def beam_search(
    step: Step,
    state: State,
    *,
    config: SearchConfig,
    bos_id: int,
    eos_id: int,
    banned: tuple[int, ...],
    begins_word: np.ndarray,
    required: int = -1,
) -> list[Hypothesis]:
    """The ``n_best`` best sentences, best first; ``state`` holds one hypothesis, (1, ...).

    Ends as ``language.search`` does: once no running hypothesis can outscore the worst that is to be returned. A second
    beam holds sentences that say the ``required`` token, if it is one, and as many of them are returned too.
    """
    tokens, history = np.array([bos_id]), np.empty((1, 0), np.int64)
    running, second = np.zeros(1, np.float32), np.zeros(1, dtype=bool)
    finished: tuple[list[Hypothesis], list[Hypothesis]] = ([], [])
    for length in range(1, config.max_length + 1):
        log_probs, state = step(tokens, state)
        allowed = _allowed(log_probs, history, config=config, banned=banned, eos_id=eos_id, begins_word=begins_word)
        place, running, second = _in_both_beams(allowed + running[:, None], second, required, config.beams)
        parent, tokens = place // allowed.shape[1], place % allowed.shape[1]
        history = np.concatenate([history[parent], tokens[:, None]], axis=1)
        state = tuple(part[parent] for part in state)
        penalty = _penalty(length, config)
        over = tokens == eos_id
        for row in (over & (running > -np.inf)).nonzero()[0].tolist():
            total = float(running[row])
            finished[int(second[row])].append(
                Hypothesis(tuple(history[row, :-1].tolist()), total, total / penalty, True)
            )
        for beam in finished:
            beam.sort(key=lambda sentence: -sentence.score)
            del beam[config.n_best :]
        running = np.where(over, np.float32(-np.inf), running)
        best = max(_penalty(length + 1, config), _penalty(config.max_length, config))
        if all(
            _is_over(running[second == number].max(initial=-np.inf) / best, beam, config)
            for number, beam in enumerate(finished)
        ):
            break
    free, known = finished[0], {sentence.tokens for sentence in finished[0]}
    ended = sorted([*free, *(s for s in finished[1] if s.tokens not in known)], key=lambda sentence: -sentence.score)
    rows = [row for row in (-running).argsort(kind="stable").tolist() if running[row] > -np.inf and not second[row]]
    totals = running.tolist()
    cut = [Hypothesis(tuple(history[row].tolist()), totals[row], totals[row] / penalty, False) for row in rows]
    return ended + cut[: config.n_best - len(free)] or [Hypothesis((), 0.0, 0.0, False)]


def _allowed(
    log_probs: np.ndarray,
    history: np.ndarray,
    *,
    config: SearchConfig,
    banned: tuple[int, ...],
    eos_id: int,
    begins_word: np.ndarray,
) -> np.ndarray:
    """A copy of the log-probabilities (K, V) after ``history`` (K, t), -inf where a token is forbidden."""
    allowed = np.where(np.isfinite(log_probs), log_probs, -np.inf)
    allowed[:, [token for token in banned if token != eos_id]] = -np.inf
    if history.shape[1] < config.min_length:
        allowed[:, eos_id] = -np.inf
    for row, said in zip(allowed, history, strict=True):
        row[_repeats(said, config.no_repeat_ngram)] = -np.inf
        if config.no_repeat_word:
            row[_echoes(said, begins_word)] = -np.inf
    return allowed


def _in_both_beams(
    scores: np.ndarray, second: np.ndarray, required: int, beams: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the continuations (K, V): where the best of each beam are, their scores, and which are in the second beam.

    ``second`` (K,) says which hypotheses are in it now. The free beam enters it by the ``required`` token.
    """
    place, running = _likeliest(np.where(second[:, None], -np.inf, scores).ravel(), beams)
    if required < 0:
        return place, running, np.zeros(len(place), dtype=bool)
    says = second[:, None] | (np.arange(scores.shape[1]) == required)
    held, their = _likeliest(np.where(says, scores, -np.inf).ravel(), beams)
    held, their = held[their > -np.inf], their[their > -np.inf]
    inside = np.repeat([False, True], [len(place), len(held)])
    return np.concatenate([place, held]), np.concatenate([running, their]), inside


def _is_over(bound: float, finished: list[Hypothesis], config: SearchConfig) -> bool:
    """Whether nothing that runs can outscore the worst of the finished; ``bound`` is the best score that it can get."""
    return bound == -np.inf or (len(finished) == config.n_best and bound <= finished[-1].score)


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
