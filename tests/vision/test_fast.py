"""The fast way through a folded CNN: close to the exact one, in whatever precision that takes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from captioner.vision import fast, precision
from captioner.vision.fast import FastCNN, exact_convolutions
from captioner.vision.fold import fold
from captioner.vision.graph import Graph, record
from captioner.vision.lite import Maps
from captioner.vision.precision import dead_leaves, fast_dtype
from tests.cnns import FAMILIES, UNRECORDABLE, cosine, frames, settled_encoder
from tests.numeric import assert_same

CPU = torch.device("cpu")


def folded(tmp_path: Path, family: str) -> tuple[Graph, dict[str, torch.Tensor], torch.Tensor]:
    """A small CNN in few steps, its weights, and pixels to try them on."""
    encoder = settled_encoder(tmp_path, family)
    graph = encoder.graph(64, 96)
    assert graph is not None
    return *fold(graph, encoder.cnn.state_dict()), encoder.normalise(frames())


@pytest.mark.parametrize("fuses", [True, False])
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != UNRECORDABLE])
@torch.no_grad()
def test_float32_is_exact_and_bfloat16_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, fuses: bool
) -> None:
    """With oneDNN's fused convolutions and, as on other machines, without."""
    if not fuses:
        monkeypatch.setattr(fast, "can_fuse", lambda device, dtype: False)
    graph, weights, pixels = folded(tmp_path, family)
    truth = graph.run(weights, pixels)
    assert_same(FastCNN(graph, weights, dtype=torch.float32)(pixels), truth)
    if not fuses and fast_dtype(CPU) is torch.float32:
        return  # this processor would take minutes
    exact = exact_convolutions(graph, weights, dtype=torch.bfloat16, pixels=pixels)
    low = FastCNN(graph, weights, dtype=torch.bfloat16, exact=exact)(pixels)
    assert cosine(low.float().mean(dim=(2, 3)), truth.mean(dim=(2, 3))) >= 0.998
    if exact < sum(step.op == "conv2d" for step in graph.steps):
        assert low.dtype == torch.bfloat16


@torch.no_grad()
def test_no_block_is_so_large_that_its_memory_is_mapped_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, weights, pixels = folded(tmp_path, "mobilenet_v2")
    pixels = torch.cat([pixels] * 4)[:5]
    largest = max(math.prod(step.shape) for step in graph.steps) * 4
    ran: list[int] = []
    run = FastCNN._run
    monkeypatch.setattr(FastCNN, "_run", lambda self, given: ran.append(len(given)) or run(self, given))
    for limit, sizes in ((largest * 5 - 1, [4, 1]), (largest * 3, [2, 2, 1]), (1, [1] * 5)):
        monkeypatch.setattr(fast, "_LARGEST_BYTES", limit)
        cnn = FastCNN(graph, weights, dtype=torch.float32)
        ran.clear()
        assert_same(cnn(pixels), graph.run(weights, pixels))
        assert ran == sizes


def test_bfloat16_is_for_processors_that_gain_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    for gains, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "_gains_from_bfloat16", lambda gains=gains: gains)
        assert fast_dtype(CPU) is dtype


@pytest.mark.parametrize(
    ("float32", "bfloat16", "gains"),
    [
        ([2.0] * 4, [1.0] * 4, True),
        ([1.0] * 4, [2.0] * 4, False),
        ([1.0] * 4, [1.0] * 4, False),
        ([1.0] * 4, [9.0, 9.0, 9.0, 0.5], True),  # the best of four: the others were interrupted
        ([9.0, 9.0, 9.0, 0.5], [1.0] * 4, False),
    ],
)
def test_the_shorter_of_two_products_decides(
    monkeypatch: pytest.MonkeyPatch, float32: list[float], bfloat16: list[float], gains: bool
) -> None:
    took = {torch.float32: iter(float32), torch.bfloat16: iter(bfloat16)}
    ran_on: list[int] = []

    def seconds(dtype: torch.dtype) -> float:
        ran_on.append(torch.get_num_threads())
        return next(took[dtype])

    monkeypatch.setattr(precision, "_seconds_of_a_product", seconds)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert precision._gains_from_bfloat16.__wrapped__() is gains
        assert torch.get_num_threads() == 2 and ran_on == [1] * 8
    finally:
        torch.set_num_threads(threads)


def test_a_product_takes_some_time_but_not_long() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        assert 0 < precision._seconds_of_a_product(dtype) < 5


class Spoilt(nn.Module):
    """Three convolutions; the second takes differences of large numbers, as the shared MobileNetV2's does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolutions = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
        nn.init.constant_(self.convolutions[0].bias, 300)  # 8 bits leave steps of 2 at 300
        kernel = self.convolutions[1].weight
        kernel -= kernel.mean(dim=(2, 3), keepdim=True)

    def forward(self, pixels: torch.Tensor) -> Maps:
        return Maps(self.convolutions(pixels))


@torch.no_grad()
def test_convolutions_that_bfloat16_spoils_stay_exact() -> None:
    network = Spoilt()
    graph = record(network, height=32, width=32)
    assert graph is not None
    weights = network.state_dict()
    pixels = torch.randn(4, 3, 32, 32)
    assert exact_convolutions(graph, weights, dtype=torch.bfloat16, pixels=pixels) == 2
    assert exact_convolutions(graph, weights, dtype=torch.bfloat16, pixels=pixels, least_cosine=1.01) == 3
    assert exact_convolutions(graph, weights, dtype=torch.float32, pixels=pixels) == 3


def test_the_made_up_pictures_are_always_the_same_and_all_different() -> None:
    first = dead_leaves(3, height=40, width=60)
    torch.manual_seed(7)
    assert torch.equal(first, dead_leaves(3, height=40, width=60)) and first.shape == (3, 40, 60, 3)
    assert not torch.equal(first[0], first[1])
    assert first.float().std() > 40
