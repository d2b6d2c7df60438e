"""Recording a CNN: the steps compute what the network computes, and what no step says is not recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.vision.graph import Value, record
from tests.cnns import FAMILIES, UNRECORDABLE, frames, settled_encoder
from tests.numeric import assert_same


@pytest.mark.parametrize("family", FAMILIES)
def test_the_steps_compute_what_the_network_computes(tmp_path: Path, family: str) -> None:
    encoder = settled_encoder(tmp_path, family)
    graph = encoder.graph(64, 96)
    if family == UNRECORDABLE:
        assert graph is None
        return
    assert graph is not None
    pixels = encoder.normalise(frames())
    with torch.no_grad():
        expected = encoder.cnn(pixels).last_hidden_state
        assert_same(graph.run(encoder.cnn.state_dict(), pixels), expected)
    assert graph.features == encoder.width == expected.shape[1]
    assert [step.number for step in graph.steps] == list(range(1, len(graph.steps) + 1))
    assert graph.steps[-1].shape == expected.shape[1:]
    assert set(graph.weight_names()) <= set(encoder.cnn.state_dict())


class Network(nn.Module):
    """A convolution, and then whatever a test does to its result."""

    def __init__(self, then: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, bias=False)
        self.register_buffer("offset", torch.ones(8, 1, 1), persistent=False)
        self.then = then

    def forward(self, pixels: Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.then(self.convolution(pixels)))


def test_operations_in_place_and_work_for_nothing() -> None:
    def then(x: Tensor) -> Tensor:
        torch.sigmoid(x)  # nobody uses it
        kept = F.relu(x) * 2
        x += kept
        return F.hardtanh(F.relu(x, inplace=True), 0.0, 6.0, inplace=True)

    graph = record(Network(then), height=16, width=16)
    assert graph is not None
    assert [step.op for step in graph.steps] == ["conv2d", "relu", "mul", "add", "relu", "hardtanh"]
    assert graph.steps[3].args == (Value(1), Value(3))
    assert len(graph.uses()[1]) == 2


@pytest.mark.parametrize(
    ("reason", "then"),
    [
        ("an unknown operation", torch.sin),
        ("a list of tensors", lambda x: torch.cat([x, x], dim=1)),
        ("a decision by the numbers", lambda x: x * 2 if float(x.mean()) < 1e9 else x),
        ("a constant made of the numbers", lambda x: x * x.detach().numpy().mean().item()),
        ("the number of frames", lambda x: x * x.shape[0]),
        ("what no JSON can say", lambda x: torch.mean(x, dim=(2, 3), keepdim=True, dtype=torch.float64).float() + x),
        ("a constant tensor", lambda x: x + torch.ones(8, 1, 1)),
        ("something else than the pixels", lambda x: torch.ones_like(x)),
    ],
)
def test_what_no_step_says_is_not_recorded(reason: str, then: Callable[[Tensor], Tensor]) -> None:
    assert record(Network(then), height=16, width=16) is None, reason


def test_a_buffer_that_is_not_saved_is_not_recorded() -> None:
    network = Network(lambda x: x)
    network.then = lambda x: x + network.offset
    assert record(network, height=16, width=16) is None
