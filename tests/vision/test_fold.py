"""Folding: fewer steps, the same numbers, and nothing folded that something else still looks at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.vision.fold import fold
from captioner.vision.graph import record
from tests.cnns import FAMILIES, UNRECORDABLE, frames, settled_encoder
from tests.numeric import assert_same


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != UNRECORDABLE])
def test_a_folded_network_computes_the_same_in_fewer_steps(tmp_path: Path, family: str) -> None:
    encoder = settled_encoder(tmp_path, family)
    graph = encoder.graph(64, 96)
    assert graph is not None
    folded, weights = fold(graph, encoder.cnn.state_dict())
    pixels = encoder.normalise(frames())
    with torch.no_grad():
        expected = encoder.cnn(pixels).last_hidden_state
        assert_same(folded.run(weights, pixels), expected)
    left = Counter(step.op for step in folded.steps)
    assert left["batch_norm"] == 0
    assert left["pad"] <= 1  # TensorFlow's padding, where a wider kernel would cost more
    assert folded.weight_names() == list(weights)


class Network(nn.Module):
    """Convolutions and batch normalisations with uneven weights, put together by a test."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, groups=8)
        self.norm, self.other = nn.BatchNorm2d(8), nn.BatchNorm2d(8, affine=False)
        for norm in (self.norm, self.other):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)
        self.run = forward

    def forward(self, pixels: Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.run(self, pixels))


@pytest.mark.parametrize(
    ("forward", "left"),
    [
        (lambda n, x: n.norm(n.first(x)), "conv2d"),
        (lambda n, x: n.other(n.norm(n.second(F.relu(n.first(x))))), "conv2d relu conv2d"),
        # two look at the convolution; two look at the normalised; the normalisation comes first
        (lambda n, x: n.norm(y := n.first(x)) + y, "conv2d batch_norm add"),
        (lambda n, x: n.other(y := n.norm(n.first(x))) + y, "conv2d batch_norm add"),
        (lambda n, x: n.second(n.norm(F.relu(n.first(x)))), "conv2d relu batch_norm conv2d"),
        # zeros on all sides; more below and right for depthwise kernels only
        (lambda n, x: n.first(F.pad(x, (2, 2, 1, 1))), "conv2d"),
        (lambda n, x: n.depthwise(F.pad(n.first(x), (0, 1, 0, 1))), "conv2d conv2d"),
        (lambda n, x: n.depthwise(F.pad(n.first(x), (1, 0, 1, 0))), "conv2d pad conv2d"),
        (lambda n, x: n.second(F.pad(n.first(x), (0, 1, 0, 1))), "conv2d pad conv2d"),
        (lambda n, x: n.first(F.pad(x, (1, 1, 1, 1), value=1.0)), "pad conv2d"),
        (lambda n, x: n.first(F.pad(x, (1, 1, 1, 1), mode="reflect")), "pad conv2d"),
        (lambda n, x: n.first(F.pad(x, (-1, -1))), "pad conv2d"),
    ],
)
def test_only_what_may_be_folded_is(forward: Callable[[Any, Tensor], Tensor], left: str) -> None:
    network = Network(forward).eval()
    graph = record(network, height=16, width=20)
    assert graph is not None
    folded, weights = fold(graph, network.state_dict())
    assert " ".join(step.op for step in folded.steps) == left
    pixels = torch.randn(2, 3, 16, 20)
    with torch.no_grad():
        assert_same(folded.run(weights, pixels), network(pixels).last_hidden_state)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(padding: str) -> None:
    network = Network(lambda n, x: n.first(x)).eval()
    network.first.padding = padding
    graph = record(network, height=16, width=20)
    assert graph is not None
    folded, weights = fold(graph, network.state_dict())
    assert folded.steps[0].args[4] == ([1, 1] if padding == "same" else [0, 0])
    pixels = torch.randn(2, 3, 16, 20)
    with torch.no_grad():
        assert_same(folded.run(weights, pixels), network.first(pixels))
