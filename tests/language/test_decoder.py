"""Attention and decoder against slow, obvious versions of themselves."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from captioner.language.config import DecoderConfig
from captioner.language.decoder import AdditiveAttention, AttentionGRU, Memory

TINY = DecoderConfig(embed=6, hidden=8, attention=5, dropout=0.3)
B, T, P, D, V = 3, 4, 2, 7, 11


def decoder(**changes: object) -> AttentionGRU:
    torch.manual_seed(1)
    config = dataclasses.replace(TINY, **changes)  # type: ignore[arg-type]
    model = AttentionGRU(config, vocabulary=V, width=D, places=P).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def clips() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    mask = torch.tensor([[True] * 4, [True, True, False, False], [False] * 4])
    return torch.randn(B, T, P, D), mask


def test_attention_is_bahdanaus_formula() -> None:
    torch.manual_seed(0)
    attention = AdditiveAttention(4, 5)
    memory = Memory(torch.randn(1, 3, 6), torch.randn(1, 3, 5), torch.tensor([[True, True, False]]))
    query = torch.randn(1, 2, 4)
    attention.requires_grad_(False)
    context, weights = attention(query, memory)
    for k in range(2):
        energies = [
            float(attention.energy.weight[0] @ torch.tanh(attention.query.weight @ query[0, k] + memory.keys[0, n]))
            for n in range(2)
        ]
        expected = torch.tensor(energies).softmax(0)
        torch.testing.assert_close(weights[0, k], torch.tensor([*expected, 0.0]))
        torch.testing.assert_close(context[0, k], expected @ memory.values[0, :2])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layers": 3},
        {"reset": "before"},
        {"temporal": "gru"},
        {"temporal": "bigru", "layers": 2},
        {"attend": False},
    ],
)
def test_stepping_equals_teacher_forcing(changes: dict[str, object]) -> None:
    model = decoder(**changes)
    memory = model.remember(*clips())
    tokens = torch.randint(V, (B, 2, 5))
    logits, attention = model(memory, tokens)
    assert logits.shape == (B, 2, 5, V) and attention.shape == (B, 2, 5, T * P)
    torch.testing.assert_close(attention.sum(-1), torch.ones(B, 2, 5))
    state = model.start(memory)
    state = tuple(s.expand(-1, 2, -1) for s in state)
    for t in range(5):
        log_probs, state = model.step(memory, tokens[:, :, t], state)
        torch.testing.assert_close(log_probs, logits[:, :, t].log_softmax(-1))


@pytest.mark.parametrize("reset", ["before", "after"])
def test_the_gates_are_those_of_the_equations(reset: str) -> None:
    """Of two layers: the first computed by hand, the second from the network's own states."""
    model = decoder(layers=2, reset=reset)
    memory = model.remember(*clips())
    tokens = torch.randint(V, (B, 1, 4))
    looked, found = model.trace(memory, tokens)
    torch.testing.assert_close(looked, model(memory, tokens)[1])
    assert found is not None and found.shape == (B, 1, 4, 2)
    state = model.start(memory)
    first, second = model.cells
    for t in range(4):
        context, low, high = state
        x = model.embedding(tokens[:, :, t])
        raw = first.input(x) + model.feed(context)
        raw[..., :16] += first.recurrent(low)[..., :16]
        z, r = raw[..., :8].sigmoid().mean(-1), raw[..., 8:16].sigmoid().mean(-1)
        _, state = model.step(memory, tokens[:, :, t], state)
        above = [gate.mean(-1) for gate in second.opened(second.project(state[1]), (high,))]
        torch.testing.assert_close(found[:, :, t, 0], (z + above[0]) / 2)
        torch.testing.assert_close(found[:, :, t, 1], (r + above[1]) / 2)
    assert not any(cell._forward_hooks for cell in model.cells)
    assert decoder(cell="lstm").trace(memory, tokens)[1] is None


@pytest.mark.parametrize("layers", [1, 2])
def test_another_order_in_memory_changes_no_weight(layers: int) -> None:
    model, (features, mask) = decoder(layers=layers), clips()
    before, weights = model(model.remember(features, mask), torch.ones(B, 1, 5, dtype=torch.long)), model.state_dict()
    weights = {name: weight.clone() for name, weight in weights.items()}
    model.lay_out_by_columns()
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert model.embedding.weight.stride() == (1, V), "each product reads the weights by columns"
    after = model(model.remember(features, mask), torch.ones(B, 1, 5, dtype=torch.long))
    torch.testing.assert_close(after, before)


def test_what_is_hidden_changes_nothing() -> None:
    model = decoder(temporal="bigru")
    features, mask = clips()
    tokens = torch.randint(V, (B, 1, 4))
    before, attention = model(model.remember(features, mask), tokens)
    features[1, 2:], features[2] = 99.0, -5.0
    after, _ = model(model.remember(features, mask), tokens)
    torch.testing.assert_close(before, after)
    assert attention[1, :, :, 2 * P :].abs().max() == 0


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    model = decoder(temporal="gru", layers=2)
    features, mask = clips()
    tokens = torch.randint(V, (B, 1, 4))
    together, _ = model(model.remember(features, mask), tokens)
    alone, _ = model(model.remember(features[1:2, :2], mask[1:2, :2]), tokens[1:2])
    torch.testing.assert_close(together[1:2], alone)


def test_the_order_of_frames_and_the_place_matter() -> None:
    model = decoder()
    features, mask = clips()
    tokens = torch.randint(V, (B, 1, 4))
    straight, _ = model(model.remember(features[:1], mask[:1]), tokens[:1])
    backwards, _ = model(model.remember(features[:1].flip(1), mask[:1]), tokens[:1])
    swapped, _ = model(model.remember(features[:1].flip(2), mask[:1]), tokens[:1])
    assert (straight - backwards).abs().max() > 1e-3
    assert (straight - swapped).abs().max() > 1e-3


def test_every_weight_learns() -> None:
    for changes in ({}, {"layers": 2, "temporal": "bigru", "reset": "before"}):
        model = decoder(**changes)
        logits, _ = model(model.remember(*clips()), torch.randint(V, (B, 2, 5)))
        logits.log_softmax(-1)[..., 0].sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
