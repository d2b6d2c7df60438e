"""A CNN as a flat list of steps, recorded from one forward pass of any transformers model.

Two uses (decision 0051): batch normalisation is folded where the list proves that it may be, and a checkpoint that
holds the list captions without importing transformers, which takes seconds. A recording is for one size of frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

OPS: dict[str, Callable[..., Tensor]] = {
    "adaptive_avg_pool2d": F.adaptive_avg_pool2d,
    "add": torch.add,
    "avg_pool2d": F.avg_pool2d,
    "batch_norm": F.batch_norm,
    "conv2d": torch.conv2d,
    "div": torch.div,
    "dropout": F.dropout,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "layer_norm": F.layer_norm,
    "linear": F.linear,
    "max_pool2d": F.max_pool2d,
    "mean": torch.mean,
    "mul": torch.mul,
    "pad": F.pad,
    "permute": Tensor.permute,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "vector_norm": torch.linalg.vector_norm,
}
"""All that a step may be: what CNNs are made of. Another operation is neither recorded nor run from a file."""

_ALSO_KNOWN_AS = {"add_": "add", "__iadd__": "add", "mul_": "mul", "linalg_vector_norm": "vector_norm"}
_SHAPE_ONLY = {"__get__", "dim", "size"}  # what a network asks of a tensor, but not of its numbers


@dataclass(frozen=True)
class Value:
    """The result of the step with this number; 0 is the pixels."""

    number: int


@dataclass(frozen=True)
class Weight:
    """A tensor of the CNN's ``state_dict``."""

    name: str


@dataclass(frozen=True)
class Step:
    """``OPS[op](*args, **options)``; an argument is a number, a list of numbers, None, a Value or a Weight."""

    number: int
    op: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    shape: tuple[int, ...]
    """Of the result for one frame."""

    def values(self) -> Iterator[int]:
        """The numbers of the steps whose results it works on."""
        return (a.number for a in (*self.args, *self.options.values()) if isinstance(a, Value))


@dataclass(frozen=True)
class Graph:
    """The steps from pixels ``(N, 3, height, width)`` to the last feature map, the result of the last step."""

    height: int
    width: int
    steps: tuple[Step, ...]

    @property
    def features(self) -> int:
        """D, the width of the last feature map."""
        return self.steps[-1].shape[0]

    def uses(self) -> dict[int, list[Step]]:
        """The steps that work on each value."""
        found: dict[int, list[Step]] = {}
        for step in self.steps:
            for number in step.values():
                found.setdefault(number, []).append(step)
        return found

    def weight_names(self) -> list[str]:
        """The weights it needs, each once."""
        arguments = (a for step in self.steps for a in (*step.args, *step.options.values()))
        return list(dict.fromkeys(a.name for a in arguments if isinstance(a, Weight)))

    def run(self, weights: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
        """The last feature map ``(N, D, h, w)``, step by step as recorded."""
        last_use = {number: steps[-1] for number, steps in self.uses().items()}
        values = {0: pixels}

        def look_up(argument: Any) -> Any:
            if isinstance(argument, Weight):
                return weights[argument.name]
            return values[argument.number] if isinstance(argument, Value) else argument

        for step in self.steps:
            args = [look_up(a) for a in step.args]
            values[step.number] = OPS[step.op](*args, **{k: look_up(a) for k, a in step.options.items()})
            for number in {n for n in step.values() if last_use[n] is step}:
                del values[number]  # so that only a few maps are in memory at once
        return values[self.steps[-1].number]


def record(cnn: Any, *, height: int, width: int) -> Graph | None:
    """The steps of a transformers CNN in eval mode, or None if it does something that no step says."""
    device = next(cnn.parameters()).device
    pixels = torch.zeros(1, 3, height, width, device=device)
    weights = {id(tensor): name for name, tensor in cnn.state_dict(keep_vars=True).items()}
    recorder = _Recorder(pixels, weights)
    with torch.no_grad(), recorder:
        maps = cnn(pixels).last_hidden_state
    last = recorder.numbers.get(id(maps))
    if last is None or recorder.looked_at_numbers:
        return None
    graph = Graph(height, width, _needed(recorder.steps, last))
    # Proof on other input: nothing was fixed by accident, neither by the number of frames nor by what they show.
    probe = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        expected = cnn(probe).last_hidden_state
        try:
            got = graph.run(cnn.state_dict(), probe)
        except RuntimeError:
            return None
    tolerance = 1e-4 * float(expected.abs().max())
    return graph if expected.shape == got.shape and torch.allclose(expected, got, rtol=0, atol=tolerance) else None


def _needed(steps: list[Step], last: int) -> tuple[Step, ...]:
    """The steps that the result of step ``last`` depends on, numbered anew from 1."""
    kept, wanted = [], {last}
    for step in reversed(steps):
        if step.number in wanted:
            wanted.update(step.values())
            kept.append(step)
    numbers = {0: 0} | {step.number: new for new, step in enumerate(reversed(kept), start=1)}

    def anew(a: Any) -> Any:
        return Value(numbers[a.number]) if isinstance(a, Value) else a

    return tuple(
        Step(numbers[s.number], s.op, tuple(map(anew, s.args)), {k: anew(a) for k, a in s.options.items()}, s.shape)
        for s in reversed(kept)
    )


class _Recorder(TorchFunctionMode):
    """Writes down every torch function that works on the pixels or on what became of them."""

    def __init__(self, pixels: Tensor, weights: dict[int, str]) -> None:
        super().__init__()
        self.weights = weights
        self.numbers = {id(pixels): 0}
        self.unknown: set[int] = set()
        self.alive: list[Any] = [pixels]  # or an id could be given to a second tensor
        self.steps: list[Step] = []
        self.looked_at_numbers = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        result = func(*args, **options)
        tensors = [a for a in (*args, *options.values()) if isinstance(a, Tensor)]
        given = {id(a) for a in tensors}
        if given.isdisjoint(self.numbers) and given.isdisjoint(self.unknown):
            return result
        name = _ALSO_KNOWN_AS.get(func.__name__, func.__name__)
        if not isinstance(result, Tensor):
            self.looked_at_numbers |= name not in _SHAPE_ONLY
            return result
        self.alive.append(result)
        if name not in OPS or not all(map(self._can_be_written, (*args, *options.values()))):
            self.numbers.pop(id(result), None)
            self.unknown.add(id(result))
            return result
        self.steps.append(
            Step(
                len(self.steps) + 1,
                name,
                tuple(self._argument(a) for a in args),
                {k: self._argument(a) for k, a in options.items() if k != "inplace"},
                tuple(result.shape[1:]),
            )
        )
        self.numbers[id(result)] = len(self.steps)
        return result

    def _can_be_written(self, argument: Any) -> bool:
        if isinstance(argument, Tensor):
            return id(argument) in self.numbers or id(argument) in self.weights
        parts = argument if isinstance(argument, (list, tuple)) else [argument]
        return all(part is None or isinstance(part, (int, float, str)) for part in parts)

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, Tensor):
            number = self.numbers.get(id(argument))
            return Weight(self.weights[id(argument)]) if number is None else Value(number)
        return list(argument) if isinstance(argument, tuple) else argument
