"""Several training processes, as ``torchrun`` starts them: each takes its share of a batch, and gradients are averaged.

Only the first process writes files and validates. The gradients of a step are those of the whole batch. Each share is
weighted by what its loss is a mean over (words or clips), so the result equals one process with the same batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from captioner.errors import ConfigError

T = TypeVar("T")


class Processes:
    """This process among those of a run. A process that runs alone needs no special case."""

    def __init__(self) -> None:
        """Join the other processes that torchrun started (WORLD_SIZE, RANK, LOCAL_RANK). Raises ConfigError."""
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.cuda = torch.cuda.is_available()
        if self.count > 1 and not dist.is_initialized():
            if not dist.is_available():
                raise ConfigError("this torch was built without torch.distributed; train with one process")
            if self.cuda:
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            dist.init_process_group("nccl" if self.cuda else "gloo")

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and validates."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The device that this process trains on."""
        if not self.cuda:
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if self.count > 1 else torch.device("cuda")

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The items of this process: the processes divide all items among them."""
        return items[self.rank :: self.count]

    def wait(self) -> None:
        """Wait until all processes have reached this call."""
        if self.count > 1:
            dist.barrier()

    def from_first(self, find: Callable[[], T]) -> T:
        """Call ``find`` in the first process, and give its result to all."""
        if self.count == 1:
            return find()
        box: list[T | None] = [find() if self.is_first else None]
        dist.broadcast_object_list(box)
        return cast(T, box[0])

    def average(self, model: nn.Module, values: Sequence[float], *, weight: float) -> list[float]:
        """Average the gradients and ``values`` over all processes, weighted; returns the averaged values."""
        if self.count == 1:
            return list(values)
        parameters = [p for p in model.parameters() if p.requires_grad]
        used = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        numbers = torch.tensor([*values, 1.0], dtype=torch.float64, device=self.device) * weight
        flat = torch.cat([grad.float().flatten() for grad in grads]) * weight
        for tensor in (used, numbers, flat):
            dist.all_reduce(tensor)
        total = max(float(numbers[-1]), 1e-12)
        parts = (flat / total).split([p.numel() for p in parameters])
        for parameter, part, anywhere in zip(parameters, parts, used.tolist(), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype) if anywhere else None
        return [float(Tensor.item(number)) / total for number in numbers[:-1]]
