"""Slow, obvious searches that the fast one must agree with, and a model small enough to search completely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from captioner.language.config import SearchConfig
from captioner.language.hypothesis import Hypothesis
from captioner.language.search import State, Step


class PrefixModel:
    """A seeded random model whose next-token probabilities depend on the clip and on every token so far.

    All it does is look up a table, so a row's result is the same to the last bit whatever stands beside it.
    """

    def __init__(self, vocabulary: int, *, seed: int = 0, sharpness: float = 1.5, holes: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(1009, vocabulary, generator=generator) * sharpness
        logits[torch.rand(logits.shape, generator=generator) < holes] = -torch.inf  # may empty a whole row: NaN
        self.table = logits.log_softmax(-1)
        self.vocabulary = vocabulary
        self.widths: list[int] = []  # how many hypotheses a clip each call stepped

    def start(self, *clips: int) -> State:
        """The state of these clips, one hypothesis each: codes (B, 1), and the prefix (B, 1, 2, 1) to be reordered."""
        code = torch.tensor(clips, dtype=torch.int64)[:, None] % 1009
        return code, code[..., None, None].expand(-1, -1, 2, 1)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        code, prefix = state
        assert code.shape == tokens.shape == prefix.shape[:2] and tokens.dtype == torch.int64
        self.widths.append(tokens.shape[1])
        code = (code * 31 + tokens + 1) % 1009
        prefix = torch.cat([prefix, tokens[..., None, None].expand(-1, -1, 2, -1)], dim=-1)
        return self.table[code], (code, prefix)


@dataclass(frozen=True)
class _Path:
    tokens: tuple[int, ...]  # eos included
    log_prob: np.float32
    token_log_probs: tuple[float, ...]
    state: State


def _possible(
    path: _Path,
    step: Step,
    *,
    config: SearchConfig,
    bos_id: int,
    eos_id: int,
    banned: Sequence[int],
    begins_word: Sequence[bool],
) -> Iterator[_Path]:
    """Everything that one more token can make of ``path``, by the letter of SearchConfig."""
    last = path.tokens[-1] if path.tokens else bos_id
    log_probs, state = step(torch.tensor([[last]]), path.state)
    for token, log_prob in enumerate(log_probs[0, 0].tolist()):
        tokens = (*path.tokens, token)
        size = config.no_repeat_ngram
        grams = [tokens[i : i + size] for i in range(len(tokens) - size + 1)] if size else []
        runs = range(1, min(4, len(tokens) // 2) + 1) if begins_word and config.no_repeat_word else ()
        if (
            np.isfinite(log_prob)
            and (token not in banned or token == eos_id)
            and (token != eos_id or len(path.tokens) >= config.min_length)
            and (token == eos_id or not grams or grams[-1] not in grams[:-1])
            and not any(tokens[-n:] == tokens[-2 * n : -n] and begins_word[tokens[-n]] for n in runs)
        ):
            total = np.float32(path.log_prob + np.float32(log_prob))
            yield _Path(tokens, total, (*path.token_log_probs, log_prob), state)


def _hypothesis(path: _Path, *, config: SearchConfig, eos_id: int) -> Hypothesis:
    finished = path.tokens[-1:] == (eos_id,)
    penalty = ((5 + len(path.tokens)) / 6) ** config.length_penalty
    tokens = path.tokens[:-1] if finished else path.tokens
    return Hypothesis(
        tokens, float(path.log_prob), float(np.float32(path.log_prob / np.float32(penalty))), finished,
        path.token_log_probs,
    )  # fmt: skip


def exhaustive(
    step: Step,
    state: State,
    *,
    config: SearchConfig,
    bos_id: int,
    eos_id: int,
    banned: Sequence[int] = (),
    begins_word: Sequence[bool] = (),
) -> list[Hypothesis]:
    """Every finished hypothesis that a clip has, best first (beams, groups and n_best do not matter)."""
    found = []
    paths = [_Path((), np.float32(0), (), state)]
    for _ in range(config.max_length):
        longer = [
            child
            for path in paths
            for child in _possible(
                path, step, config=config, bos_id=bos_id, eos_id=eos_id, banned=banned, begins_word=begins_word
            )
        ]
        found += [path for path in longer if path.tokens[-1] == eos_id]
        paths = [path for path in longer if path.tokens[-1] != eos_id]
    hypotheses = [_hypothesis(path, config=config, eos_id=eos_id) for path in found]
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)


def slow_beam(
    step: Step,
    state: State,
    *,
    config: SearchConfig,
    bos_id: int,
    eos_id: int,
    banned: Sequence[int] = (),
    begins_word: Sequence[bool] = (),
) -> list[Hypothesis]:
    """Beam search over one clip as a textbook has it: one hypothesis at a time, and never stopped early."""
    root = _Path((), np.float32(0), (), state)
    running = [[root] for _ in range(config.groups)]
    cut: list[list[_Path]] = [[root] for _ in range(config.groups)]
    finished: list[list[_Path]] = [[] for _ in range(config.groups)]
    for _ in range(config.max_length):
        taken: Counter[int] = Counter()
        for group, paths in enumerate(running):
            children = [
                child
                for path in paths
                for child in _possible(
                    path, step, config=config, bos_id=bos_id, eos_id=eos_id, banned=banned, begins_word=begins_word
                )
            ]
            price = np.float32(config.diversity)
            children.sort(key=lambda child: child.log_prob - price * np.float32(taken[child.tokens[-1]]), reverse=True)
            kept = children[: config.beams // config.groups]
            taken.update(child.tokens[-1] for child in kept)
            finished[group] += [path for path in kept if path.tokens[-1] == eos_id]
            running[group] = [path for path in kept if path.tokens[-1] != eos_id]
            if kept:
                cut[group] = running[group]
    return _first(finished, cut, config=config, eos_id=eos_id)


def _first(
    finished: list[list[_Path]], cut: list[list[_Path]], *, config: SearchConfig, eos_id: int
) -> list[Hypothesis]:
    """``n_best`` distinct ones, in turns: each group's best, each group's second best, ...; finished before cut."""
    found: dict[tuple[int, ...], Hypothesis] = {}
    for kind in (finished, cut):
        ranked = [
            sorted((_hypothesis(path, config=config, eos_id=eos_id) for path in group), key=lambda h: -h.score)
            for group in kind
        ]
        for rank in range(max(map(len, ranked))):
            of_rank = [group[rank] for group in ranked if rank < len(group)]
            for hypothesis in sorted(of_rank, key=lambda h: -h.score):
                if len(found) < config.n_best:
                    found.setdefault(hypothesis.tokens, hypothesis)
    return sorted(found.values(), key=lambda h: (not h.finished, -h.score))
