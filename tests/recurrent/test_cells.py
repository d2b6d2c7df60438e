"""Every cell of the table against its equations in plain numpy, and its gradient against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from captioner.language.config import DecoderConfig
from captioner.language.decoder import AttentionGRU
from captioner.recurrent.cells import CELLS, make_cell
from captioner.recurrent.network import Recurrent

States = tuple[np.ndarray, ...]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(get: dict[str, np.ndarray], x: np.ndarray, states: States) -> States:
    h, c = states
    i, f, g, o = np.split(get["input.weight"] @ x + get["input.bias"] + get["recurrent.weight"] @ h, 4)
    kept = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(kept), kept


def light(get: dict[str, np.ndarray], x: np.ndarray, states: States) -> States:
    [h] = states
    mean, variance = get["normalise.running_mean"], get["normalise.running_var"]
    normalised = (get["input.weight"] @ x - mean) / np.sqrt(variance + 1e-5)
    z, candidate = np.split(
        normalised * get["normalise.weight"] + get["normalise.bias"] + get["recurrent.weight"] @ h, 2
    )
    return ((1 - sigmoid(z)) * h + sigmoid(z) * np.maximum(candidate, 0),)


def mgu(get: dict[str, np.ndarray], x: np.ndarray, states: States) -> States:
    [h] = states
    gate, candidate = np.split(get["input.weight"] @ x + get["input.bias"], 2)
    f = sigmoid(gate + get["forget.weight"] @ h)
    return ((1 - f) * h + f * np.tanh(candidate + get["candidate.weight"] @ (f * h)),)


def mingru(get: dict[str, np.ndarray], x: np.ndarray, states: States) -> States:
    z, candidate = np.split(get["input.weight"] @ x + get["input.bias"], 2)
    return ((1 - sigmoid(z)) * states[0] + sigmoid(z) * candidate,)


PLAIN: dict[str, Callable[[dict[str, np.ndarray], np.ndarray, States], States]] = {
    "lstm": lstm,
    "light": light,
    "mgu": mgu,
    "mingru": mingru,
}


def random_cell(name: str, inputs: int = 5, hidden: int = 4) -> nn.Module:
    torch.manual_seed(3)
    cell = make_cell(name, inputs, hidden).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    return cell.eval()


def test_every_cell_of_the_table_has_its_equations_here() -> None:
    assert set(PLAIN) | {"gru"} == set(CELLS)  # the GRU's are in test_gru.py


@pytest.mark.parametrize("name", PLAIN)
def test_a_step_follows_the_equations(name: str) -> None:
    cell = random_cell(name)
    get = {key: tensor.detach().numpy() for key, tensor in cell.state_dict().items()}
    x = torch.randn(3, 5).double()
    states = tuple(torch.randn(3, 4).double() for _ in range(cell.states))
    stepped = cell(cell.project(x), states)
    for row in range(3):
        expected = PLAIN[name](get, x[row].numpy(), tuple(s[row].numpy() for s in states))
        for mine, plain in zip(stepped, expected, strict=True):
            np.testing.assert_allclose(mine[row].detach().numpy(), plain, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_through_time_match_finite_differences(name: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    network = Recurrent(3, 4, cell=name, layers=2, bidirectional=bidirectional).double()
    network.eval()  # statistics of a batch depend on every row, which gradcheck would see as well
    x = torch.randn(2, 5, 3, dtype=torch.double, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    assert torch.autograd.gradcheck(lambda x, *_: network(x, mask), (x, *network.parameters()))


@pytest.mark.parametrize("name", CELLS)
def test_masked_steps_change_nothing(name: str) -> None:
    network = Recurrent(3, 4, cell=name, layers=2).double().eval()
    x = torch.randn(1, 5, 3).double()
    mask = torch.tensor([[True, True, True, False, False]])
    torch.testing.assert_close(network(x, mask)[:, :3], network(x[:, :3], mask[:, :3]))


@pytest.mark.parametrize("name", CELLS)
def test_a_decoder_of_any_cell_says_the_same_step_by_step_as_at_once(name: str) -> None:
    torch.manual_seed(0)
    config = DecoderConfig(embed=8, hidden=8, attention=4, cell=name, layers=2, temporal="gru", dropout=0.0)  # type: ignore[arg-type]
    decoder = AttentionGRU(config, vocabulary=11, width=6, places=1).eval()
    memory = decoder.remember(torch.randn(2, 3, 1, 6), torch.ones(2, 3, dtype=torch.bool))
    tokens = torch.randint(11, (2, 1, 4))
    logits, _ = decoder(memory, tokens)
    state = decoder.start(memory)
    for t in range(4):
        log_probs, state = decoder.step(memory, tokens[:, :, t], state)
        torch.testing.assert_close(log_probs, logits[:, :, t].log_softmax(-1), atol=1e-5, rtol=1e-5)
