"""A CNN rebuilt from its recording, without transformers: the same weights under the same names.

The recording is plain JSON that a person can read, a line a step. ``conv2d %0 @stem.weight null [2,2] .. > 32 112 112``
standing first is step 1: it works on value 0 (the pixels) and a weight, and makes 32 maps of 112 x 112.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

from captioner.errors import CheckpointError
from captioner.vision.graph import OPS, Graph, Step, Value, Weight
from captioner.vision.lite import Maps


class RecordedCNN(nn.Module):
    """A CNN in eval mode, for frames of the recorded size; every weight is NaN until ``load_state_dict`` fills it."""

    def __init__(self, cnn: dict[str, Any]) -> None:
        super().__init__()
        self.architecture = {key: value for key, value in cnn.items() if key != "recording"}
        recording = cnn["recording"]
        try:
            if recording["sha256"] != _digest(self.architecture, recording):
                raise ValueError("it does not belong to the architecture beside it, or one was changed")
            self.graph, exact = _parse_graph(recording), recording["exact"]
            self.exact = None if exact is None else int(exact)
            for name, description in recording["weights"].items():
                _add_weight(self, name, description)
            if lost := set(self.graph.weight_names()) - set(self.state_dict()):
                raise ValueError(f"no weight {sorted(lost)[0]!r}")
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"the recording of the checkpoint's CNN is damaged: {error}") from error

    def takes(self, height: int, width: int) -> bool:
        """Whether it is for frames of this size."""
        return (self.graph.height, self.graph.width) == (height, width)

    def forward(self, pixels: Tensor) -> Maps:
        """Pixels ``(N, 3, height, width)`` to maps."""
        weights = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return Maps(self.graph.run(weights, pixels))


def add_recording(architecture: dict[str, Any], graph: Graph, cnn: nn.Module, *, exact: int | None) -> dict[str, Any]:
    """``architecture`` with ``graph`` and the shapes of ``cnn``'s weights: JSON values for :class:`RecordedCNN`.

    ``exact``: :attr:`captioner.vision.encoder.FrameEncoder.exact`, None where that is not known.
    """
    weights = {}
    for name, tensor in cnn.state_dict(keep_vars=True).items():
        kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
        weights[name] = " ".join(map(str, (kind, str(tensor.dtype).removeprefix("torch."), *tensor.shape)))
    recording = {
        "size": [graph.height, graph.width],
        "exact": exact,
        "weights": weights,
        "steps": [_format_step(step) for step in graph.steps],
    }
    return architecture | {"recording": recording | {"sha256": _digest(architecture, recording)}}


def _digest(architecture: dict[str, Any], recording: dict[str, Any]) -> str:
    content = [architecture, {key: value for key, value in recording.items() if key != "sha256"}]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _format_step(step: Step) -> str:
    args = [_format(a) for a in step.args]
    options = [f"{name}={_format(a)}" for name, a in step.options.items()]
    return " ".join([step.op, *args, *options, ">", *map(str, step.shape)])


def _format(argument: Any) -> str:
    if isinstance(argument, Value):
        return f"%{argument.number}"
    return f"@{argument.name}" if isinstance(argument, Weight) else json.dumps(argument, separators=(",", ":"))


def _parse_graph(recording: dict[str, Any]) -> Graph:
    height, width = map(int, recording["size"])
    steps = tuple(_parse_step(number, line) for number, line in enumerate(recording["steps"], start=1))
    if not steps or not 1 <= height <= 4096 or not 1 <= width <= 4096:
        raise ValueError("it has no steps or no size")
    return Graph(height, width, steps)


def _parse_step(number: int, line: str) -> Step:
    left, _, shape = line.partition(" > ")
    op, *words = left.split(" ")
    if op not in OPS:
        raise ValueError(f"step {number} is {op!r}; known: {', '.join(OPS)}")
    args, options = [], {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            options[name] = _parse(value, number)
        else:
            args.append(_parse(word, number))
    return Step(number, op, tuple(args), options, tuple(map(int, shape.split(" "))))


def _parse(word: str, number: int) -> Any:
    if word.startswith("@"):
        return Weight(word[1:])
    if not word.startswith("%"):
        return json.loads(word)
    if not 0 <= int(word[1:]) < number:
        raise ValueError(f"step {number} works on {word}, which is not known yet")
    return Value(int(word[1:]))


def _add_weight(root: nn.Module, name: str, description: str) -> None:
    """An empty tensor under its dotted name, with a plain module for each part of the path."""
    kind, dtype, *shape = description.split(" ")
    tensor = torch.zeros([int(n) for n in shape], dtype=getattr(torch, dtype))
    if tensor.is_floating_point():
        tensor.fill_(float("nan"))
    *path, leaf = name.split(".")
    module = root
    for part in path:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    if kind == "parameter":
        module.register_parameter(leaf, nn.Parameter(tensor))
    elif kind == "buffer":
        module.register_buffer(leaf, tensor)
    else:
        raise ValueError(f"{name} is neither a parameter nor a buffer but {kind!r}")
