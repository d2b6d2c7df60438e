"""Beam search over a step function: which sentence is likeliest. It knows no model.

Greedy search is one beam; diverse groups and sampling are the same loop with another choice in it. All beams of all
clips take a step at once, and what is found for a clip does not depend on the clips beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.language.config import SearchConfig
from captioner.language.hypothesis import Hypothesis
from captioner.language.sampling import chances, draw

State = tuple[Tensor, ...]
"""What the hypotheses carry: at least one tensor, each (B, K, ...). The search reorders it by parent."""

Step = Callable[[Tensor, State], tuple[Tensor, State]]
"""Tokens (B, K) int64 and state -> log-probabilities (B, K, V) float32 and the next state; K changes between steps."""

_NEVER = -math.inf
_ECHO = 4
"""Tokens of the longest run of words that is kept from being said twice in a row."""


@dataclass(frozen=True)
class _Moment:
    """One step of the search: the hypothesis in a slot is ``token`` after the one in slot ``parent``.

    Indexed by clip, then by slot.
    """

    parent: list[list[int]]
    token: list[list[int]]
    token_log_prob: list[list[float]]
    log_prob: list[list[float]]  # of the whole hypothesis; -inf: the slot is empty
    score: list[list[float]]


def length_penalty(length: int, alpha: float) -> float:
    """``((5 + length) / 6) ** alpha`` (Wu et al. 2016, eq. 14), for ``length`` tokens, eos included."""
    return float(((5 + length) / 6) ** alpha)


@torch.inference_mode()
def search(
    step: Step,
    state: State,
    *,
    config: SearchConfig,
    bos_id: int,
    eos_id: int,
    banned: Sequence[int] = (),
    seeds: Sequence[int] = (),
    begins_word: Tensor | None = None,
    required: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """The ``config.n_best`` best hypotheses of each clip, best first: fewer where fewer exist, never none.

    Each step keeps the ``beams`` likeliest continuations. Those that end in eos leave with their score; the others
    go on until none of them can outscore the worst that is to be returned. Only when too few ended is the list
    filled up with hypotheses that were cut. Searched hypotheses are distinct; samples are independent draws.

    ``state`` holds one hypothesis a clip, (B, 1, ...). ``banned`` tokens never come out; eos may stand among them,
    as some tokenizers use it for bos or pad too. ``seeds``, one a clip, are for sampling: by default all clips use
    ``config.seed``, so that a clip's samples do not depend on its place in a batch. ``begins_word`` (V,) bool says
    which tokens begin a word, for ``config.no_repeat_word``; without it no word is known. With ``required``
    (B,) tokens, -1 for none, a second beam holds sentences that say the clip's token (constrained beam search; Anderson
    et al. 2017), and as many of them follow. There are no groups and no samples then.
    """
    clips, device = state[0].shape[0], state[0].device
    assert not seeds or len(seeds) == clips, (len(seeds), clips)
    if required is not None and bool((required < 0).all()):
        required = None
    moments = _run(
        step,
        state,
        config=config,
        bos_id=bos_id,
        eos_id=eos_id,
        never=torch.tensor(sorted({*banned} - {eos_id}), dtype=torch.long, device=device),
        begins_word=begins_word.to(device) if begins_word is not None and config.no_repeat_word else None,
        chance=chances(seeds or [config.seed] * clips, config).to(device) if config.temperature > 0 else None,
        required=required,
    )
    steps = [_Moment(*(field.tolist() for field in moment)) for moment in moments]
    return [_collect(steps, clip, eos_id=eos_id, config=config, second=required is not None) for clip in range(clips)]


def _groups(config: SearchConfig) -> int:
    """Parts of the beam that choose for themselves: a sample is a group of its own."""
    return config.beams if config.temperature > 0 else config.groups


def _run(
    step: Step,
    state: State,
    *,
    config: SearchConfig,
    bos_id: int,
    eos_id: int,
    never: Tensor,
    begins_word: Tensor | None,
    chance: Tensor | None,
    required: Tensor | None,
) -> list[tuple[Tensor, ...]]:
    """The fields of each step's :class:`_Moment`, (B, K). In a step, a group's S slots become W, at most K / G."""
    clips, groups, device = state[0].shape[0], _groups(config) if required is None else 2, state[0].device
    never_yet = torch.cat([never, never.new_tensor([eos_id])])
    tokens = torch.full((clips, groups), bos_id, device=device)
    state = _reorder(state, torch.zeros_like(tokens))
    history = tokens.new_empty(clips, groups, 0)
    running = torch.zeros(clips, groups, 1, device=device)  # log-probabilities; -inf: the slot is empty
    running[:, 1:] = 0.0 if required is None else _NEVER  # nothing says the token yet
    best = torch.full((clips, groups, config.n_best), _NEVER, device=device)  # scores of the finished
    group = torch.arange(groups, device=device)[:, None]
    moments: list[tuple[Tensor, ...]] = []
    for length in range(1, config.max_length + 1):
        log_probs, state = step(tokens, state)
        slots, vocabulary = running.shape[-1], log_probs.shape[-1]
        forbidden = never if length > config.min_length else never_yet
        allowed = _allowed(log_probs, forbidden, history, config.no_repeat_ngram)
        if begins_word is not None:
            allowed = _without_echo(allowed, history, begins_word)
        allowed = allowed.view(clips, groups, slots, vocabulary)
        if chance is not None:
            running, place = draw(running, allowed, chance[..., length - 1], config)
        elif required is not None:
            running, place = _in_both_beams(running, allowed, required, config)
        else:
            running, place = _likeliest(running, allowed, config)
        place = (group * (slots * vocabulary) + place).flatten(1)  # from the group's continuations to the clip's
        parent, tokens = place // vocabulary, place % vocabulary
        score = running / length_penalty(length, config.length_penalty)
        moments.append((parent, tokens, log_probs.flatten(1).gather(1, place), running.flatten(1), score.flatten(1)))

        ended = (tokens == eos_id).view_as(running)
        best = torch.cat([best, score.masked_fill(~ended, _NEVER)], dim=-1).topk(config.n_best).values
        running = running.masked_fill(ended, _NEVER)
        if (_bound(running.amax(-1), length, config) <= best[..., -1]).all():
            break
        state = _reorder(state, parent)
        if config.no_repeat_ngram or begins_word is not None:
            history = torch.cat([*_reorder((history,), parent), tokens[..., None]], dim=-1)
    return moments


def _bound(log_prob: Tensor, length: int, config: SearchConfig) -> Tensor:
    """The best score that hypotheses of ``length`` tokens can still reach: if all that is missing were certain.

    A log-probability only falls and the penalty is monotone in the length, so ending at once or as late as possible
    is best. Rounding is monotone too: no later score can exceed the bound by a bit.
    """
    penalties = (length_penalty(n, config.length_penalty) for n in (length + 1, config.max_length))
    return log_prob / max(penalties)


def _reorder(state: State, parent: Tensor) -> State:
    """Every tensor (B, S, ...) with its rows taken from ``parent`` (B, K): (B, K, ...)."""
    clips, slots = parent.shape
    rows = (parent + torch.arange(clips, device=parent.device)[:, None] * state[0].shape[1]).flatten()
    # index_select copies whole rows: ten times faster than gather with an expanded index
    return tuple(x.flatten(0, 1).index_select(0, rows).view(clips, slots, *x.shape[2:]) for x in state)


def _allowed(log_probs: Tensor, forbidden: Tensor, history: Tensor, size: int) -> Tensor:
    """A copy of ``log_probs`` (B, K, V), -inf where a token is forbidden, is not a number, or would complete an
    n-gram of ``size`` tokens that ``history`` (B, K, t) already holds.
    """
    allowed = log_probs.nan_to_num(nan=_NEVER, posinf=_NEVER, neginf=_NEVER).index_fill_(-1, forbidden, _NEVER)
    if not 0 < size <= history.shape[-1]:
        return allowed
    grams = history.unfold(-1, size, 1)  # (B, K, t - n + 1, n)
    last = history[..., history.shape[-1] - size + 1 :]  # the n - 1 tokens that the next one would complete
    repeats = (grams[..., :-1] == last.unsqueeze(-2)).all(-1)
    blocked = torch.zeros_like(repeats, dtype=allowed.dtype).masked_fill_(repeats, _NEVER)
    return allowed.scatter_add_(-1, grams[..., -1], blocked)


def _without_echo(allowed: Tensor, history: Tensor, begins_word: Tensor) -> Tensor:
    """``allowed`` (B, K, V), overwritten: -inf where a token would say the words just said once more ("red red").

    Forbidden is what completes two equal runs of up to ``_ECHO`` tokens side by side that begin with a word.
    """
    length = history.shape[-1]
    for size in range(1, min(_ECHO, (length + 1) // 2) + 1):
        before = history[..., length + 1 - 2 * size : length + 1 - size]  # (B, K, size): the run that came first
        now = history[..., length + 1 - size :]  # (B, K, size - 1): what there is of the second
        echoes = (before[..., :-1] == now).all(-1, keepdim=True) & begins_word[before[..., :1]]
        blocked = torch.zeros_like(echoes, dtype=allowed.dtype).masked_fill_(echoes, _NEVER)
        allowed.scatter_add_(-1, before[..., -1:], blocked)
    return allowed


def _likeliest(running: Tensor, allowed: Tensor, config: SearchConfig) -> tuple[Tensor, Tensor]:
    """The likeliest continuations of each group: their log-probabilities (B, G, W), and where in the group's S * V
    they are. ``running`` is (B, G, S), ``allowed`` (B, G, S, V) and overwritten.

    A group pays ``diversity`` for a token as often as the groups before it took that token in this step
    (Vijayakumar et al. 2018, eq. 5 with Hamming diversity); the price decides but is no part of the score.
    """
    clips, groups, slots, vocabulary = allowed.shape
    width = min(config.beams // groups, slots * vocabulary)
    scores = allowed.add_(running[..., None])
    if groups == 1:
        log_prob, place = scores.flatten(2).topk(width)
        return log_prob, place
    taken = scores.new_zeros(clips, 1, vocabulary)
    log_probs, places = [], []
    for group in range(groups):
        place = (scores[:, group] - config.diversity * taken).flatten(1).topk(width).indices
        log_prob = scores[:, group].flatten(1).gather(1, place)
        taken[:, 0].scatter_add_(1, place % vocabulary, log_prob.isfinite().to(taken.dtype))
        log_probs.append(log_prob)
        places.append(place)
    return torch.stack(log_probs, dim=1), torch.stack(places, dim=1)


def _in_both_beams(running: Tensor, allowed: Tensor, required: Tensor, config: SearchConfig) -> tuple[Tensor, Tensor]:
    """As :func:`_likeliest`, for the free beam and the second one: G is 2, and W the same for both.

    What continues the second beam stays in it. What continues the free beam by the ``required`` (B,) token is in both.
    """
    clips, _, slots, vocabulary = allowed.shape
    width = min(config.beams, slots * vocabulary)
    scores = allowed.add_(running[..., None])
    free = scores[:, 0].flatten(1).topk(width)
    token = required.clamp(min=0)[:, None, None].expand(-1, slots, 1)
    says = scores[:, 0].gather(-1, token).masked_fill(required[:, None, None] < 0, _NEVER)
    scores[:, 0] = scores.new_full((clips, slots, vocabulary), _NEVER).scatter_(-1, token, says)
    held = scores.flatten(1).topk(width)
    places = torch.stack([free.indices, held.indices - slots * vocabulary], dim=1)  # counted from the group's own
    return torch.stack([free.values, held.values], dim=1), places


def _collect(
    steps: Sequence[_Moment], clip: int, *, eos_id: int, config: SearchConfig, second: bool
) -> list[Hypothesis]:
    """The clip's ``n_best``: each group's best, then each group's second best, and so on; finished before cut.

    Of a ``second`` beam the ``n_best`` that are finished follow.
    """
    groups = 2 if second else _groups(config)
    ranked = []  # (cut, rank within the group, -score, step, slot)
    for group in range(1 if second else groups):
        finished, cut = _ends(steps, clip, group, groups, eos_id)
        ranked += [(False, rank, *end) for rank, end in enumerate(sorted(finished))]
        ranked += [(True, rank, *end) for rank, end in enumerate(sorted(cut))]
    found: list[Hypothesis] = []
    for is_cut, _, _, last, slot in sorted(ranked):
        hypothesis = _trace(steps, clip, last, slot, finished=not is_cut)
        if config.temperature > 0 or all(hypothesis.tokens != other.tokens for other in found):
            found.append(hypothesis)
        if len(found) == config.n_best:
            break
    if second:
        ends = sorted(_ends(steps, clip, 1, groups, eos_id)[0])[: config.n_best]
        more = (_trace(steps, clip, last, slot, finished=True) for _, last, slot in ends)
        found += [hypothesis for hypothesis in more if all(hypothesis.tokens != other.tokens for other in found)]
    found.sort(key=lambda hypothesis: (not hypothesis.finished, -hypothesis.score))
    return found or [Hypothesis((), 0.0, 0.0, False, ())]


def _ends(
    steps: Sequence[_Moment], clip: int, group: int, groups: int, eos_id: int
) -> tuple[list[tuple[float, int, int]], list[tuple[float, int, int]]]:
    """The group's finished hypotheses, and those still running at its last step: (-score, step, slot) of each."""
    finished, cut = [], []
    for number, moment in enumerate(steps):
        token, log_prob, score = moment.token[clip], moment.log_prob[clip], moment.score[clip]
        width = len(token) // groups
        live = [k for k in range(group * width, (group + 1) * width) if log_prob[k] > _NEVER]
        finished += [(-score[k], number, k) for k in live if token[k] == eos_id]
        if live:
            cut = [(-score[k], number, k) for k in live if token[k] != eos_id]
    return finished, cut


def _trace(steps: Sequence[_Moment], clip: int, last: int, slot: int, *, finished: bool) -> Hypothesis:
    """The hypothesis in ``slot`` after the step ``last``, from its parents."""
    log_prob, score = steps[last].log_prob[clip][slot], steps[last].score[clip][slot]
    tokens, token_log_probs = [], []
    for moment in reversed(steps[: last + 1]):
        tokens.append(moment.token[clip][slot])
        token_log_probs.append(moment.token_log_prob[clip][slot])
        slot = moment.parent[clip][slot]
    text = tokens[:0:-1] if finished else tokens[::-1]
    return Hypothesis(tuple(text), log_prob, score, finished, tuple(token_log_probs[::-1]))
