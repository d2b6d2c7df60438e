"""Running a folded CNN quickly: bfloat16, channels-last, and each activation inside the convolution before it.

Convolutions are oneDNN's with what follows fused in (the operators that torch's own compiler emits) where this torch
has them, else torch's plain ones. See docs/decisions/0051-recorded-cnn.md.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from captioner.vision.graph import OPS, Graph, Step, Value, Weight

LEAST_COSINE = 0.999
"""What features in low precision must keep of their direction, on average over :func:`dead_leaves`."""

_LARGEST_BYTES = 2**25
"""No map of the frames that run together takes more: larger blocks glibc maps anew every time, and the kernel clears
them page by page."""

_FUSED = {"relu": "relu", "silu": "swish", "sigmoid": "sigmoid", "hardswish": "hardswish", "hardtanh": "hardtanh"}


@dataclass(frozen=True)
class _Call:
    """One operation on numbered values; the values ``done`` are not needed after it."""

    result: int
    run: Callable[..., Tensor]
    values: tuple[int, ...]
    done: tuple[int, ...]


class FastCNN:
    """A folded graph with its weights, ready to run: ``(N, 3, H, W)`` float32 on ``device`` in, the last map out.

    All is in ``dtype`` but the first ``exact`` convolutions, and what lies between them, which are in float32. A part
    of the graph takes the value ``after`` (0: the pixels) and gives the value ``until``.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Tensor],
        *,
        dtype: torch.dtype,
        exact: int = 0,
        after: int = 0,
        until: int | None = None,
    ) -> None:
        convolutions = [step.number for step in graph.steps if step.op == "conv2d"]
        first_low = convolutions[exact] if exact < len(convolutions) else graph.steps[-1].number + 1
        shapes = {0: (3, graph.height, graph.width)} | {step.number: step.shape for step in graph.steps}
        uses = graph.uses()
        until = graph.steps[-1].number if until is None else until
        todo: list[tuple[int, Callable[..., Tensor], tuple[int, ...]]] = []
        fused: set[int] = set()
        largest = 1
        for step in graph.steps:
            if step.number in fused or not after < step.number <= until:
                continue
            precision = torch.float32 if step.number < first_low else dtype
            result = step.number
            if _is_fusible(step, weights, precision):
                takers = uses.get(step.number, [])
                alone = len(takers) == 1 and takers[0].number <= until
                follower = takers[0] if alone and _activation(takers[0]) else None
                if follower:
                    fused.add(follower.number)
                    result = follower.number
                run = _fused_convolution(step, weights, precision, shapes[step.args[0].number], follower)
            else:
                run = _plain(step, weights, precision)
            todo.append((result, run, tuple(step.values())))
            largest = max(largest, math.prod(step.shape) * precision.itemsize)
        last_use = {number: i for i, (_, _, values) in enumerate(todo) for number in values}
        self._calls = [
            _Call(result, run, values, tuple(n for n in set(values) if last_use[n] == i))
            for i, (result, run, values) in enumerate(todo)
        ]
        self._given, self._result = after, until
        self._together = 2 ** max(0, (_LARGEST_BYTES // largest).bit_length() - 1)

    def __call__(self, given: Tensor) -> Tensor:
        if given.device.type != "cpu" or len(given) <= self._together:
            return self._run(given)
        return torch.cat([self._run(part) for part in given.split(self._together)])

    def _run(self, given: Tensor) -> Tensor:
        values = {self._given: given}
        for call in self._calls:
            values[call.result] = call.run(*[values[number] for number in call.values])
            for number in call.done:
                del values[number]
        return values[self._result]


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where hardware has it and takes less time in it (CUDA from Ampere on, most CPUs with AVX512_BF16 or
    AMX), else float32.

    ``ONEDNN_MAX_CPU_ISA`` is respected: where it rules those instructions out, oneDNN would emulate them, slowly.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit and limit not in ("ALL", "DEFAULT") and "BF16" not in limit and "AMX" not in limit:
        return torch.float32
    there = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if device.type == "cpu" and there and _gains_from_bfloat16() else torch.float32


@cache
def _gains_from_bfloat16() -> bool:
    """Whether a product takes less time in bfloat16, by trying: with AVX512_BF16 an AMD processor (Zen 4) takes half
    the time of float32, an Intel one whose AMX is kept from a virtual machine twice as much.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other where the machine is busy
    took = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    try:
        for _ in range(4):
            for dtype in took:
                took[dtype] = min(took[dtype], _seconds_of_a_product(dtype))
    finally:
        torch.set_num_threads(threads)
    return took[torch.bfloat16] < took[torch.float32]


def _seconds_of_a_product(dtype: torch.dtype) -> float:
    square = torch.ones(256, 256, dtype=dtype)
    began = time.perf_counter()
    square @ square
    return time.perf_counter() - began


def can_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN's fused convolutions are there: torch has them for its compiler, without a guarantee."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    names = ("_convolution_pointwise", "_reorder_convolution_weight", "_is_mkldnn_bf16_supported")
    there = all(hasattr(torch.ops.mkldnn, name) for name in names)
    return there and (dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported())


def exact_convolutions(
    graph: Graph,
    weights: Mapping[str, Tensor],
    *,
    dtype: torch.dtype,
    pixels: Tensor,
    least_cosine: float = LEAST_COSINE,
) -> int:
    """How many convolutions, from the first on, must stay in float32 for features of ``least_cosine`` on ``pixels``.

    The first ones see raw pixels; where they take differences of large numbers, bfloat16's 8 bits do not do. Most CNNs
    need none, the shared MobileNetV2 (whose second convolution has weights of up to 56) three.
    """
    total = sum(step.op == "conv2d" for step in graph.steps)
    if dtype == torch.float32:
        return total
    truth = FastCNN(graph, weights, dtype=torch.float32)(pixels).mean(dim=(2, 3))
    for exact in (*range(min(total, 8)), *range(8, total, 4)):
        got = FastCNN(graph, weights, dtype=dtype, exact=exact)(pixels).float().mean(dim=(2, 3))
        if float(torch.cosine_similarity(truth, got).mean()) >= least_cosine:
            return exact
    return total


def dead_leaves(count: int, *, height: int, width: int) -> Tensor:
    """``(count, height, width, 3)`` uint8: discs of all sizes and colours that hide each other, always the same.

    They have the statistics of photographs that matter here, edges and flat areas (Lee, Mumford and Huang 2001).
    """
    random = torch.Generator().manual_seed(0)
    rows = torch.arange(height).view(-1, 1)
    columns = torch.arange(width).view(1, -1)
    images = torch.empty(count, height, width, 3, dtype=torch.uint8)
    for image in images:
        for i in range(60):
            draw = torch.rand(6, generator=random)
            radius = 0.02 * min(height, width) / (0.05 + 0.95 * draw[0])  # many small discs, a few large ones
            near = (rows - draw[1] * height) ** 2 + (columns - draw[2] * width) ** 2 < radius**2
            image[near if i else slice(None)] = (draw[3:] * 255).to(torch.uint8)
    return images


def _is_fusible(step: Step, weights: Mapping[str, Tensor], dtype: torch.dtype) -> bool:
    """A convolution of a value with weights of its own, all its settings in numbers, where oneDNN's can be had."""
    if step.op != "conv2d" or len(step.args) != 7 or not isinstance(step.args[4], list):
        return False
    weight = step.args[1]
    own = isinstance(step.args[0], Value) and isinstance(weight, Weight)
    return own and can_fuse(weights[weight.name].device, dtype)


def _activation(step: Step) -> tuple[str, list[float]] | None:
    """oneDNN's name and numbers for an elementwise step; None for a step that it does not know."""
    if step.op not in _FUSED:
        return None
    numbers = [*step.args[1:], *step.options.values()] if step.op == "hardtanh" else []
    return (_FUSED[step.op], numbers) if step.op != "hardtanh" or len(numbers) == 2 else None


def _fused_convolution(
    step: Step, weights: Mapping[str, Tensor], dtype: torch.dtype, shape: tuple[int, ...], after: Step | None
) -> Callable[[Tensor], Tensor]:
    """The convolution, its bias (in float32: rounding it costs most) and the step ``after`` it in one operation."""
    _, weight, bias, stride, padding, dilation, groups = step.args
    onednn = torch.ops.mkldnn
    kernel = weights[weight.name].to(dtype)
    packed = onednn._reorder_convolution_weight(kernel, padding, stride, dilation, groups, [1, *shape])
    offset = weights[bias.name].float() if bias else None
    name, numbers = (_activation(after) if after else None) or ("none", [])

    def run(x: Tensor) -> Tensor:
        return onednn._convolution_pointwise(
            x.to(dtype), packed, offset, padding, stride, dilation, groups, name, numbers, ""
        )

    return run


def _plain(step: Step, weights: Mapping[str, Tensor], dtype: torch.dtype) -> Callable[..., Tensor]:
    """Any other step, by torch's own function, its weights and inputs in ``dtype``."""
    own = {
        a.name: _channels_last(weights[a.name].to(dtype))
        for a in (*step.args, *step.options.values())
        if isinstance(a, Weight)
    }
    function = OPS[step.op]

    def run(*inputs: Tensor) -> Tensor:
        given = (x.to(dtype) for x in inputs)

        def fill(argument: Any) -> Any:
            if isinstance(argument, Weight):
                return own[argument.name]
            return next(given) if isinstance(argument, Value) else argument

        return function(*[fill(a) for a in step.args], **{k: fill(a) for k, a in step.options.items()})

    return run


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
