"""Runs an archive on a Ray cluster: Ray Data sends tasks to actors that load the model once (extra captioner[ray]).

What an actor does with its tasks is what one machine does with all of them, so that the rows are the same.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Generator, Iterable
from dataclasses import asdict
from typing import Any

from captioner.archive.engine import Outcome, Settings, Task, caption_tasks
from captioner.archive.run import outcome_of, record_of
from captioner.config import from_dict
from captioner.errors import CaptionerError


def caption_with_ray(
    tasks: Iterable[Task],
    *,
    model: str | None,
    settings: Settings,
    actors: int | None = None,
    batch_size: int = 16,
    timeout_seconds: float | None = 60.0,
    device: str | None = None,
) -> Generator[Outcome, None, None]:
    """The outcome of each task, in order. ``model`` and all files must be at the same place on every node.

    ``RAY_ADDRESS`` chooses a running cluster; without it one is started here. ``actors`` is by default one for each
    GPU, or else for each core but one, which Ray needs itself. Raises CaptionerError where Ray is not installed or
    cannot be reached.
    """
    ray = _start()
    from ray.data import ActorPoolStrategy, DataContext

    waiting = {task.index: task for task in tasks}
    if not waiting:
        return
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    gpus = int(ray.cluster_resources().get("GPU", 0)) if device != "cpu" else 0
    size = actors or gpus or max(1, int(ray.cluster_resources().get("CPU", 2)) - 1)
    rows = [{"task": _pack(task)} for task in waiting.values()]
    blocks = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // batch_size))
    made = blocks.map_batches(
        _Actor,
        fn_constructor_kwargs={
            "model": model,
            "settings": settings,
            "batch_size": batch_size,
            "timeout_seconds": timeout_seconds,
            "device": device,
        },
        batch_size=batch_size,
        batch_format="numpy",
        compute=ActorPoolStrategy(min_size=1, max_size=size),
        num_cpus=1,
        num_gpus=1 if gpus else 0,
    )
    for batch in made.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1):
        for index, record in zip(batch["index"].tolist(), batch["record"].tolist(), strict=True):
            yield outcome_of(waiting.pop(index), json.loads(record))


class _Actor:
    """A captioner on some node, with a decoding child of its own."""

    def __init__(
        self,
        *,
        model: str | None,
        settings: Settings,
        batch_size: int,
        timeout_seconds: float | None,
        device: str | None,
    ) -> None:
        import torch

        from captioner.archive.pool import DecodePool
        from captioner.caption.captioner import Captioner

        torch.set_num_threads(1)
        self._pool = DecodePool(workers=1, timeout_seconds=timeout_seconds)
        self._captioner = Captioner.load(model, device=device)
        self._settings, self._batch_size = settings, batch_size

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        tasks = [_unpack(text) for text in batch["task"].tolist()]
        outcomes = caption_tasks(
            tasks, self._captioner, settings=self._settings, pool=self._pool, batch_size=self._batch_size
        )
        records = {outcome.task.index: json.dumps(record_of(outcome)) for outcome in outcomes}
        order = [task.index for task in tasks]
        return {"index": order, "record": [records[index] for index in order]}


def _start() -> Any:
    """Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
    except ImportError:
        raise CaptionerError("--engine ray needs Ray: pip install 'captioner[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = os.environ.get("RAY_ADDRESS", "this machine")
            raise CaptionerError(f"Ray cannot be started or reached on {where}: {error}") from error
    return ray


def _pack(task: Task) -> str:
    return json.dumps(asdict(task))


def _unpack(text: str) -> Task:
    return from_dict(Task, json.loads(text))
