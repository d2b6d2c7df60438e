"""Runs a CNN quickly: folded, in bfloat16, channels-last, each activation inside the convolution before it.

Convolutions are oneDNN's with what follows fused in (the operators that torch's own compiler emits) where this torch
has them, else torch's plain ones. See docs/decisions/0051-recorded-cnn.md.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.vision.backbones import packaged_weights
from captioner.vision.choice import distinct_frames, look_every
from captioner.vision.fold import fold
from captioner.vision.graph import OPS, Graph, Step, Value, Weight
from captioner.vision.original import shared_until
from captioner.vision.precision import LEAST_COSINE, can_fuse, fast_dtype

if TYPE_CHECKING:
    from captioner.vision.encoder import FrameEncoder

_LARGEST_BYTES = 2**25
"""No map of the frames that run together takes more: larger blocks glibc maps anew every time, and the kernel clears
them page by page."""

_FUSED = {"relu": "relu", "silu": "swish", "sigmoid": "sigmoid", "hardswish": "hardswish", "hardtanh": "hardtanh"}


Look = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Takes normalised frames (N, 3, H, W), and a mask (N,) of those for the original CNN. Returns the CNN's last maps
(N, D, h, w) and the original CNN's (M, D, h, w)."""


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


class FastEncoder(nn.Module):
    """What :meth:`captioner.vision.encoder.FrameEncoder.fast` gives: the same features but for rounding.

    Prepared at the first frames of each size (a fraction of a second). Later changes of the weights do not reach it.
    """

    def __init__(self, encoder: FrameEncoder) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(False).eval()
        self.config, self.width, self.places = encoder.config, encoder.width, encoder.places
        self._ready: dict[tuple[int, int, torch.device], Look] = {}

    @torch.no_grad()
    def forward(self, pixels: Tensor, *, looked: Tensor | None = None) -> Tensor:
        """Features ``(..., P, D)`` float32 of frames ``(..., H, W, 3)`` uint8. ``looked``: as for ``encode``."""
        height, width = pixels.shape[-3:-1]
        key = (height, width, self.encoder.shift.device)
        if key not in self._ready:
            self._ready[key] = self._prepare(height, width)
        return self.encoder.encode(pixels, self._ready[key], looked=looked)

    def clip(self, pixels: np.ndarray) -> np.ndarray:
        """Features (T, P, D) float32 of a clip's frames (T, S, S, 3) uint8.

        A frame that equals one before it shares its features. Any thread may call it, once one call has returned.
        """
        kept, shared = distinct_frames(pixels)
        looked, needed = np.zeros(len(shared), bool), np.zeros(len(kept), bool)
        looked[look_every(len(shared))] = True
        needed[shared[looked]] = True
        with torch.inference_mode():
            distinct, at = (torch.from_numpy(a).to(self.encoder.shift.device) for a in (pixels[kept], needed))
            features: np.ndarray = self(distinct, looked=at).cpu().numpy()[shared]
        features[~looked, self.places :] = 0.0  # what the original CNN sees, where it does not look
        return features

    def batch(self, features: Sequence[np.ndarray], shape: tuple[int, int] = (0, 0)) -> tuple[Tensor, Tensor]:
        """Features (B, T, P, D) and mask (B, T) on the device, padded to ``shape`` with copies and hidden frames.

        In batches of one shape a clip's results do not depend on the other clips, to the last bit (decision 0071).
        """
        filled = [*features, *[features[0]] * (shape[0] - len(features))]
        frames = max(shape[1], *map(len, filled))
        padded = torch.zeros(len(filled), frames, *features[0].shape[1:])
        mask = torch.zeros(len(filled), frames, dtype=torch.bool)
        for row, array in enumerate(filled):
            padded[row, : len(array)] = torch.from_numpy(array)
            mask[row, : len(array)] = True
        return padded.to(self.encoder.shift.device), mask.to(self.encoder.shift.device)

    def _prepare(self, height: int, width: int) -> Look:
        device = self.encoder.shift.device
        dtype = fast_dtype(device)
        graph = self.encoder.graph(height, width)
        if graph is None:
            whole = self._whole(self.encoder.probe(height, width), dtype)
            return lambda x, looked: ((maps := whole(x)), maps[:0])
        folded, weights = fold(graph, self.encoder.cnn.state_dict())
        exact = self.encoder.exact.get((height, width)) if can_fuse(device, dtype) else None  # of the same operators
        if exact is None:
            exact = self.encoder.exact_of(folded, weights, dtype)
        if not self.config.untuned:
            cnn = FastCNN(folded, weights, dtype=dtype, exact=exact)
            return lambda x, looked: ((maps := cnn(x)), maps[:0])
        _, theirs = fold(graph, {name: w.to(device) for name, w in packaged_weights(self.config.source).items()})
        until = shared_until(folded, weights, theirs)
        begin = FastCNN(folded, weights, dtype=dtype, exact=exact, until=until)
        ours, untuned = (FastCNN(folded, w, dtype=dtype, exact=exact, after=until) for w in (weights, theirs))

        def look(x: Tensor, looked: Tensor) -> tuple[Tensor, Tensor]:
            maps = begin(x)
            tuned = ours(maps)
            return tuned, untuned(maps[looked]) if looked.any() else tuned[:0]

        return look

    def _whole(self, probe: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """For a CNN that cannot be recorded: itself, channels-last, in ``dtype`` if its features bear that."""
        truth = self.encoder.cnn(probe).last_hidden_state.mean(dim=(2, 3))
        cnn: Any = copy.deepcopy(self.encoder.cnn)
        low = copy.deepcopy(cnn.to(memory_format=torch.channels_last)).to(dtype)
        try:
            features = low(probe.to(dtype)).last_hidden_state.float().mean(dim=(2, 3))
            close = float(torch.cosine_similarity(truth, features).mean()) >= LEAST_COSINE
        except RuntimeError:  # an operation that this dtype does not have
            close = False
        return lambda x: (low(x.to(dtype)) if close else cnn(x)).last_hidden_state
