"""The attention GRU that writes the sentence, one word from the last, the clip and the state.

Bahdanau attention with input feeding: the context read at one step is an input of the next (Luong et al. 2015),
deep output (Pascanu et al. 2014), and an output layer tied to the word embeddings (Press & Wolf 2017).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from captioner.language.config import DecoderConfig
from captioner.recurrent.cells import Cell, make_cell
from captioner.recurrent.network import Recurrent

State = tuple[Tensor, ...]
"""What a hypothesis carries: the context (B, K, H), then each layer's state (B, K, H)."""

_TIME_WAVES = 8  # sine and cosine pairs that tell a frame's place in the clip


class Memory(NamedTuple):
    """A clip as the decoder sees it: made once, never changed, shared by all beams of the clip."""

    values: Tensor  # (B, N, H) what is read
    keys: Tensor  # (B, N, A) what is compared; projected once a clip
    mask: Tensor  # (B, N) bool: True where there is something to look at (at least one place a clip)
    evidence: Tensor | None = None  # (B, V) for each token: whether the CNN's classifier saw it


class AdditiveAttention(nn.Module):
    """``a_n = softmax_n(v · tanh(W_q q + k_n))``, context = ``Σ_n a_n value_n`` (Bahdanau et al. 2015, A.1.2)."""

    def __init__(self, query: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, hidden, bias=False)
        self.energy = nn.Linear(hidden, 1, bias=False)

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Queries (B, K, H) -> contexts (B, K, H) and weights (B, K, N), which sum to 1 over N."""
        hidden = (self.query(query)[:, :, None] + memory.keys[:, None]).tanh_()  # (B, K, N, A)
        energy = self.energy(hidden).squeeze(-1).float()  # (B, K, N)
        weights = energy.masked_fill(~memory.mask[:, None], float("-inf")).softmax(dim=-1)
        return weights.to(memory.values.dtype) @ memory.values, weights


class AttentionGRU(nn.Module):
    """Captions from features (B, T, P, D). Tokens are (B, K): K hypotheses or captions a clip."""

    def __init__(self, config: DecoderConfig, *, vocabulary: int, width: int, places: int) -> None:
        super().__init__()
        self.config = config
        hidden, embed = config.hidden, config.embed
        self.look = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.LayerNorm(hidden))
        self.time = nn.Linear(2 * _TIME_WAVES, hidden)
        self.place = nn.Parameter(torch.zeros(places, hidden))
        self.nothing = nn.Parameter(torch.zeros(hidden))  # what text without a clip looks at
        self.temporal = (
            Recurrent(
                hidden, hidden, cell=config.cell, bidirectional=config.temporal.startswith("bi"), reset=config.reset
            )
            if config.temporal != "none"
            else None
        )
        self.key = nn.Linear(hidden, config.attention)
        self.attention = AdditiveAttention(hidden, config.attention) if config.attend else None
        self.embedding = nn.Embedding(vocabulary, embed)
        self.cells = nn.ModuleList(
            make_cell(config.cell, embed if layer == 0 else hidden, hidden, reset=config.reset)
            for layer in range(config.layers)
        )
        self.first = nn.Linear(hidden, config.layers * self._cell(0).states * hidden)
        self.feed = nn.Linear(
            hidden, self._cell(0).gates * hidden, bias=False
        )  # input feeding: the first cell's view of the context
        self.deep = nn.Linear(embed + 2 * hidden, embed)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.gate = nn.Linear(2 * hidden, 1) if config.evidence else None  # how far to trust it, step by step
        self.dropout = nn.Dropout(config.dropout)
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)
        nn.init.xavier_uniform_(self.feed.weight)
        nn.init.normal_(self.embedding.weight, std=embed**-0.5)

    @torch.no_grad()
    def lay_out_by_columns(self) -> None:
        """Change the order of the weights in memory, not the weights: the products of a few rows, which a search is
        made of, take less time so (benchmarks/layout.py).
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.data = module.weight.t().contiguous().t()

    def remember(self, features: Tensor, mask: Tensor) -> Memory:
        """Project a clip once: features (B, T, P, D) and mask (B, T) -> Memory of N = T*P positions.

        A row whose mask is all False is text without a clip: it attends to one learned vector.
        """
        batch, frames, places, _ = features.shape
        x = self.look(features.to(self.bias.dtype))
        x = x + self.time(_waves(mask).to(x.dtype))[:, :, None] + self.place
        if self.temporal is not None:
            x = x + self.temporal(x.mean(dim=2), mask)[:, :, None]
        x = x.reshape(batch, frames * places, -1)
        mask = mask.repeat_interleave(places, dim=1)
        empty = ~mask.any(dim=1)
        x = torch.where(empty[:, None, None], self.nothing.to(x.dtype), x)
        values = self.dropout(x)
        return Memory(values=values, keys=self.key(values), mask=mask | empty[:, None])

    def start(self, memory: Memory, *, beams: int = 1) -> State:
        """The state before the first word: from the mean of what is seen, the same for every beam."""
        weights = memory.mask / memory.mask.sum(dim=1, keepdim=True)
        mean = (weights.to(memory.values.dtype)[:, None] @ memory.values).expand(-1, beams, -1)  # (B, K, H)
        return (mean, *torch.tanh(self.first(mean)).split(self.config.hidden, dim=-1))

    def step(self, memory: Memory, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One word on: tokens (B, K) -> log-probabilities (B, K, V) float32 and the next state."""
        embedded = self.dropout(self.embedding(tokens))
        state, _ = self._advance(memory, self._cell(0).project(embedded), state)
        readout = state[0], self._top(state)
        logits = self._logits(self._deepen(embedded, readout), readout, memory)
        return logits.float().log_softmax(dim=-1), state

    def forward(self, memory: Memory, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: inputs (B, K, L) -> logits (B, K, L, V) and attention weights (B, K, L, N).

        All that does not depend on the state (embeddings, their product with the GRU's input weights, the
        vocabulary layer) is done once for all steps.
        """
        embedded = self.dropout(self.embedding(tokens))
        projected = self._cell(0).project(embedded)
        state = self.start(memory, beams=tokens.shape[1])
        tops, contexts, attention = [], [], []
        for t in range(tokens.shape[2]):
            state, weights = self._advance(memory, projected[:, :, t], state)
            contexts.append(state[0])
            tops.append(self._top(state))
            attention.append(weights)
        readout = (torch.stack(contexts, dim=2), torch.stack(tops, dim=2))
        return self._logits(self._deepen(embedded, readout), readout, memory), torch.stack(attention, dim=2)

    def trace(self, memory: Memory, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Where each of the tokens (B, K, L) looked (B, K, L, N), and how far the GRU's gates z and r opened at it.

        The gates (B, K, L, 2) are means over units and layers; None where the cell is no GRU.
        """
        if self.config.cell != "gru":
            return self(memory, tokens)[1], None
        given: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {cell: [] for cell in self.cells}

        def note(cell: nn.Module, inputs: tuple[Tensor, tuple[Tensor, ...]], _: tuple[Tensor, ...]) -> None:
            given[cell].append((inputs[0], inputs[1][0]))

        hooks = [cell.register_forward_hook(note) for cell in self.cells]
        try:
            _, weights = self(memory, tokens)
        finally:
            for hook in hooks:
                hook.remove()
        opened = []
        for cell, steps in given.items():  # of all steps at once, which reads the weights once
            projected, state = (torch.stack(part, dim=2) for part in zip(*steps, strict=True))
            opened.append(torch.stack([gate.mean(dim=-1) for gate in cell.opened(projected, (state,))], dim=-1))  # type: ignore[operator]
        return weights, torch.stack(opened).mean(dim=0)

    def _advance(self, memory: Memory, projected: Tensor, state: State) -> tuple[State, Tensor]:
        """Step every layer from the projected word (B, K, 3H), then look: the next state and weights (B, K, N)."""
        context, *rest = state
        size = self._cell(0).states
        after = [*self._cell(0)(projected + self.feed(context), tuple(rest[:size]))]
        for layer in range(1, self.config.layers):
            cell, below = self._cell(layer), after[-size]
            after += cell(cell.project(self.dropout(below)), tuple(rest[layer * size : (layer + 1) * size]))
        top = after[-size]
        if self.attention is None:
            weights = (memory.mask / memory.mask.sum(dim=1, keepdim=True))[:, None].expand(-1, context.shape[1], -1)
            return (context, *after), weights
        context, weights = self.attention(top, memory)
        return (context, *after), weights

    def _deepen(self, embedded: Tensor, readout: tuple[Tensor, Tensor]) -> Tensor:
        """The deep output layer: word, context and top state (..., E + 2H) -> (..., E)."""
        return self.dropout(torch.tanh(self.deep(torch.cat([embedded, *readout], dim=-1))))

    def _logits(self, deep: Tensor, readout: tuple[Tensor, Tensor], memory: Memory) -> Tensor:
        """(B, K, ..., E) -> (B, K, ..., V), with the classifier's evidence added as far as the gate lets it."""
        logits = nn.functional.linear(deep, self.embedding.weight, self.bias)
        if self.gate is None or memory.evidence is None:
            return logits
        evidence = memory.evidence.view(len(logits), *[1] * (logits.ndim - 2), -1)
        gate = self.gate(torch.cat(readout, dim=-1))
        return logits + gate * evidence.to(logits.dtype)

    def _cell(self, layer: int) -> Cell:
        return self.cells[layer]  # type: ignore[return-value]

    def _top(self, state: State) -> Tensor:
        """What the last layer's cell says."""
        return state[-self._cell(0).states]


def _waves(mask: Tensor) -> Tensor:
    """Each frame's place in its clip, 0 to 1, as waves: (B, T) -> (B, T, 2 * waves)."""
    count = mask.sum(dim=1, keepdim=True)
    place = (mask.cumsum(dim=1) - 0.5) / count.clamp(min=1)
    angle = place[..., None] * (math.pi * torch.arange(1, _TIME_WAVES + 1, device=mask.device))
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
