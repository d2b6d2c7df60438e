"""The GRU against its equations in plain numpy, against torch's own, and its gradient against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from captioner.recurrent.gru import GRUCell, Reset
from captioner.recurrent.network import Recurrent

RESETS: list[Reset] = ["before", "after"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def plain_step(cell: GRUCell, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The equations of the module's docstring, letter by letter, in float64."""
    n = cell.hidden
    get = {name: p.detach().double().numpy() for name, p in cell.named_parameters()}
    w, b, u = get["input.weight"], get["input.bias"], get["recurrent.weight"]
    c = get.get("recurrent.bias", np.zeros(3 * n))
    z = sigmoid(w[:n] @ x + b[:n] + u[:n] @ h + c[:n])
    r = sigmoid(w[n : 2 * n] @ x + b[n : 2 * n] + u[n : 2 * n] @ h + c[n : 2 * n])
    if cell.candidate is None:
        candidate = np.tanh(w[2 * n :] @ x + b[2 * n :] + r * (u[2 * n :] @ h + c[2 * n :]))
    else:
        candidate = np.tanh(w[2 * n :] @ x + b[2 * n :] + get["candidate.weight"] @ (r * h))
    return (1 - z) * h + z * candidate


def random_cell(inputs: int, hidden: int, reset: Reset) -> GRUCell:
    torch.manual_seed(3)
    cell = GRUCell(inputs, hidden, reset=reset).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    return cell


@pytest.mark.parametrize("reset", RESETS)
def test_step_follows_the_equations(reset: Reset) -> None:
    cell = random_cell(5, 4, reset)
    x, h = torch.randn(3, 5).double(), torch.randn(3, 4).double()
    stepped = cell(cell.project(x), (h,))[0].detach().numpy()
    for row in range(3):
        np.testing.assert_allclose(stepped[row], plain_step(cell, x[row].numpy(), h[row].numpy()), atol=1e-12)


def test_reset_after_is_torchs_gru_with_the_update_gate_turned_round() -> None:
    cell = random_cell(5, 4, "after")
    theirs = nn.GRUCell(5, 4).double()
    with torch.no_grad():
        for mine, other in (("input", "ih"), ("recurrent", "hh")):
            for kind in ("weight", "bias"):
                z, r, candidate = getattr(getattr(cell, mine), kind).chunk(3)
                getattr(theirs, f"{kind}_{other}").copy_(torch.cat([r, -z, candidate]))
    x, h = torch.randn(6, 5).double(), torch.randn(6, 4).double()
    torch.testing.assert_close(cell(cell.project(x), (h,))[0], theirs(x, h))


def test_the_two_forms_differ() -> None:
    x, h = torch.randn(2, 5).double(), torch.randn(2, 4).double()
    before, after = random_cell(5, 4, "before"), random_cell(5, 4, "after")
    with torch.no_grad():
        after.input.weight.copy_(before.input.weight)
        after.input.bias.copy_(before.input.bias)
        after.recurrent.bias.zero_()
        assert before.candidate is not None
        after.recurrent.weight.copy_(torch.cat([before.recurrent.weight, before.candidate.weight]))
    assert (before(before.project(x), (h,))[0] - after(after.project(x), (h,))[0]).abs().max() > 1e-3


@pytest.mark.parametrize("reset", RESETS)
def test_gradient_through_time_matches_finite_differences(reset: Reset) -> None:
    cell = random_cell(3, 4, reset)
    x, h = torch.randn(6, 2, 3).double(), torch.randn(2, 4).double()
    target = torch.randn(2, 4).double()

    def loss() -> torch.Tensor:
        state = h
        for t in range(len(x)):
            [state] = cell(cell.project(x[t]), (state,))
        return ((state - target) ** 2).sum()

    loss().backward()
    step = 1e-6
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(0, len(flat), 5):
            kept = flat[i].item()
            flat[i] = kept + step
            above = loss().item()
            flat[i] = kept - step
            below = loss().item()
            flat[i] = kept
            assert gradient[i].item() == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-7), (name, i)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_sequence_equals_a_loop_and_ignores_masked_frames(reset: Reset, bidirectional: bool) -> None:
    torch.manual_seed(0)
    gru = Recurrent(3, 4, bidirectional=bidirectional, reset=reset).double()
    x = torch.randn(2, 5, 3).double()
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    whole = gru(x, mask)
    assert whole.shape == (2, 5, 4)
    short = gru(x[1:, :3], mask[1:, :3])
    torch.testing.assert_close(whole[1:, :3], short)
    cell = gru.cells[0]
    assert isinstance(cell, GRUCell)
    state = np.zeros(cell.hidden)
    for t in range(5):
        state = plain_step(cell, x[0, t].numpy(), state)
        np.testing.assert_allclose(whole[0, t, : cell.hidden].detach().numpy(), state, atol=1e-12)
    if bidirectional:
        cell, state = gru.cells[1], np.zeros(2)
        assert isinstance(cell, GRUCell)
        for t in reversed(range(5)):
            state = plain_step(cell, x[0, t].numpy(), state)
            np.testing.assert_allclose(whole[0, t, 2:].detach().numpy(), state, atol=1e-12)
