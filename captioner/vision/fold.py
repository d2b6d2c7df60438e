"""Folds batch normalisation and padding of a recorded CNN into its convolutions.

In eval mode batch normalisation is ``(x - mean) * gamma / sqrt(variance + eps) + beta`` for each channel. The
convolution before it can do this with other weights, if nothing else reads its output. The recording proves that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from captioner.vision.graph import Graph, Step, Value, Weight


def fold(graph: Graph, weights: Mapping[str, Tensor]) -> tuple[Graph, dict[str, Tensor]]:
    """The shorter graph and the weights that it needs, in the dtype they had."""
    uses = graph.uses()
    steps: dict[int, Step] = {}
    tensors = dict(weights)
    stands_for: dict[int, Value] = {}  # a step that is gone -> the value that replaces its result

    def current(argument: Any) -> Any:
        return stands_for.get(argument.number, argument) if isinstance(argument, Value) else argument

    for recorded in graph.steps:
        step = replace(
            recorded,
            args=tuple(current(a) for a in recorded.args),
            options={name: current(a) for name, a in recorded.options.items()},
        )
        if step.op == "conv2d":
            step = _with_numeric_padding(step, tensors)
        source = recorded.args[0]
        if (
            isinstance(source, Value)
            and len(uses[source.number]) == 1
            and (before := steps.get(current(source).number))
        ):
            if _is_batch_norm(step) and _is_convolution(before):
                steps[before.number] = _with_batch_norm(before, step, tensors)
                stands_for[step.number] = Value(before.number)
                continue
            if _is_convolution(step) and (padded := _with_padding(step, before, tensors)):
                del steps[before.number]
                step = padded
        steps[step.number] = step
    shorter = replace(graph, steps=tuple(steps.values()))
    return shorter, {name: tensors[name] for name in shorter.weight_names()}


def _with_numeric_padding(convolution: Step, tensors: dict[str, Tensor]) -> Step:
    """``"valid"`` and, where it is the same on both sides, ``"same"`` in numbers of rows and columns."""
    if len(convolution.args) != 7 or not isinstance(convolution.args[4], str):
        return convolution
    source, weight, bias, stride, padding, dilation, groups = convolution.args
    kernel = tensors[weight.name].shape[2:]
    total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
    if any(t % 2 for t in total):
        return convolution
    return replace(convolution, args=(source, weight, bias, stride, [t // 2 for t in total], dilation, groups))


def _is_convolution(step: Step) -> bool:
    return step.op == "conv2d" and len(step.args) == 7 and isinstance(step.args[4], list)


def _is_batch_norm(step: Step) -> bool:
    statistics = len(step.args) > 2 and all(isinstance(a, Weight) for a in step.args[1:3])
    return step.op == "batch_norm" and statistics and not _argument(step, 5, "training", False)


def _with_batch_norm(convolution: Step, norm: Step, tensors: dict[str, Tensor]) -> Step:
    """``convolution`` with weights and a bias (added to ``tensors``) that do the work of ``norm`` as well."""
    source, weight, bias, *geometry = convolution.args

    def exact(argument: Any, otherwise: float) -> Tensor:
        return tensors[argument.name].double() if argument else torch.tensor(otherwise, dtype=torch.float64)

    mean, variance = exact(norm.args[1], 0), exact(norm.args[2], 1)
    gamma, beta = exact(_argument(norm, 3, "weight", None), 1), exact(_argument(norm, 4, "bias", None), 0)
    scale = gamma / torch.sqrt(variance + _argument(norm, 7, "eps", 1e-5))
    old = tensors[weight.name]
    new = Weight(f"{weight.name}/{norm.number}"), Weight(f"{weight.name}/{norm.number}/bias")
    tensors[new[0].name] = (old.double() * scale.view(-1, 1, 1, 1)).to(old.dtype)
    tensors[new[1].name] = ((exact(bias, 0) - mean) * scale + beta).to(old.dtype)
    return replace(convolution, args=(source, *new, *geometry))


def _with_padding(convolution: Step, pad: Step, tensors: dict[str, Tensor]) -> Step | None:
    """``convolution`` doing the work of ``pad`` too, None if it cannot: zeros, and at most one more right and below.

    That one more, TensorFlow's way, is a row or column of zeros in the kernel: it moves the window, not the sum. It
    is for depthwise kernels only; with many channels the wider kernel costs more than a separate step.
    """
    if pad.op != "pad" or _argument(pad, 2, "mode", "constant") != "constant" or _argument(pad, 3, "value", None):
        return None
    sides: list[int] = [*_argument(pad, 1, "pad", ()), 0, 0]
    left, right, top, bottom = sides[:4]
    _, weight, bias, stride, padding, dilation, groups = convolution.args
    more = bottom - top, right - left
    if (
        any(sides[4:])
        or min(left, top) < 0
        or not set(more) <= {0, 1}
        or (any(more) and (groups == 1 or dilation != [1, 1]))
    ):
        return None
    if any(more):
        kernel = torch.nn.functional.pad(tensors[weight.name], (more[1], 0, more[0], 0))
        weight = Weight(f"{weight.name}/{pad.number}")
        tensors[weight.name] = kernel
    padding = [padding[0] + bottom, padding[-1] + right]
    return replace(convolution, args=(pad.args[0], weight, bias, stride, padding, dilation, groups))


def _argument(step: Step, position: int, name: str, default: Any) -> Any:
    return step.args[position] if len(step.args) > position else step.options.get(name, default)
