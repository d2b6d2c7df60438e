"""Runs an archive on a Ray cluster: sends batches of tasks to actors that load the model once (extra captioner[ray]).

What an actor does with its tasks is what one machine does with all of them, so that the rows are the same. Nodes may
come and go: a new one gets an actor for each core, and batches of one that is lost are sent to others.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from captioner.archive.engine import Failure, Outcome, Task
from captioner.archive.prefetch import Prefetch
from captioner.archive.ray_actor import Actor, DriverFiles, Job, for_another_node, pack
from captioner.checkpoint.files import own_files
from captioner.errors import CaptionerError
from captioner.io.extras import import_extra

_BATCHES_AT_ONCE = 2
"""Batches that an actor has at once: while it works on one, the next is on its way."""
_LOST_ALONE = 3
"""A file whose actor is lost so many times fails; a batch that is lost is sent again file by file."""
_STARTS = 5
"""Actors that may fail to start one after the other."""
_AHEAD = 4
"""Batches that are read ahead."""
_READERS = 8
_TICK_SECONDS, _SHORT_SECONDS, _CONNECT_SECONDS = 1.0, 0.05, 10.0


def caption_with_ray(
    tasks: Iterable[Task],
    job: Job,
    *,
    folders: Mapping[str, Path],
    actors: int | None = None,
    device: str | None = None,
) -> Generator[Outcome, None, None]:
    """The outcome of each task, as it is ready. ``tasks`` is read as actors become free.

    ``job.load`` makes a model of the ``folders``, which are sent to the nodes, as are files that a node lacks.
    ``RAY_ADDRESS`` chooses a running cluster; without it one is started here. ``actors`` is by default one for each
    GPU, or else for each core, also of nodes that come later. Raises CaptionerError where Ray is not installed or
    cannot be reached, or no actor can be started.
    """
    ray = _start()
    fleet = _Fleet(ray, job, folders, limit=actors, device=device)
    run = _Run(ray, fleet, iter(tasks), job.batch_size)
    try:
        yield from run.outcomes()
    finally:
        fleet.end()


@dataclass(eq=False)
class _Batch:
    """Tasks that are sent together."""

    tasks: tuple[Task, ...]
    lost: int = 0
    """How many times its actor was lost."""


@dataclass(eq=False)
class _Worker:
    """An actor, and the batches that it has."""

    actor: Any
    starting: Any
    """The reference that is ready once the actor is; None after that."""
    batches: dict[Any, _Batch] = field(default_factory=dict)


class _Fleet:
    """The actors of a run."""

    def __init__(
        self, ray: Any, job: Job, folders: Mapping[str, Path], *, limit: int | None, device: str | None
    ) -> None:
        self._ray = ray
        self._limit = limit
        gpus = int(ray.cluster_resources().get("GPU", 0)) if device != "cpu" else 0
        self._each = "GPU" if gpus else "CPU"
        self._made = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=0)(Actor)
        packed = {name: pack(folder, sorted(own_files(folder))) for name, folder in folders.items()}
        self._files = _beside_the_driver(ray)
        self._given = ray.put(job), ray.put(packed), self._files
        self._failed_starts = 0
        self._size, self._look_again = 0, 0.0
        self.workers: list[_Worker] = []

    def grow(self, wanted: int) -> None:
        """Have as many actors as are wanted, and as the run asks for or the cluster has room for by now."""
        if wanted > len(self.workers) and time.monotonic() > self._look_again:
            self._size = self._limit or max(1, int(self._ray.cluster_resources().get(self._each, 0)))
            self._look_again = time.monotonic() + _TICK_SECONDS
        while len(self.workers) < min(wanted, self._size):
            actor = self._made.remote(*self._given)
            self.workers.append(_Worker(actor, actor.ready.remote()))

    def has_started(self, worker: _Worker) -> None:
        worker.starting = None
        self._failed_starts = 0

    def lose(self, worker: _Worker, error: Exception) -> None:
        """It is gone, or cannot be reached, which must come to the same."""
        self.workers.remove(worker)
        self._ray.kill(worker.actor)
        if worker.starting is not None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise CaptionerError(f"no actor of Ray can be started: {_reason(error)}") from error

    def end(self) -> None:
        for actor in (self._files, *(worker.actor for worker in self.workers)):
            self._ray.kill(actor)


class _Run:
    """Hands out batches, and takes back what has become of them."""

    def __init__(self, ray: Any, fleet: _Fleet, tasks: Iterator[Task], batch_size: int) -> None:
        self._ray, self._fleet, self._batch_size = ray, fleet, batch_size
        self._reader = Prefetch(tasks, _AHEAD * batch_size)
        self._lost: deque[_Batch] = deque()

    def outcomes(self) -> Iterator[Outcome]:
        try:
            while True:
                self._hand_out()
                workers = self._fleet.workers
                waiting = {worker.starting: worker for worker in workers if worker.starting is not None}
                waiting |= {reference: worker for worker in workers for reference in worker.batches}
                if self._reader.ended and not self._lost and not any(worker.batches for worker in workers):
                    return
                if not waiting:
                    time.sleep(_SHORT_SECONDS)
                    continue
                timeout = _TICK_SECONDS if self._reader.ended else _SHORT_SECONDS
                done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=timeout)
                for reference in done:
                    yield from self._settle(waiting[reference], reference)
        finally:
            self._reader.stop()

    def _hand_out(self) -> None:
        workers = self._fleet.workers
        at_work = sum(len(batch.tasks) for worker in workers for batch in worker.batches.values())
        tasks = self._reader.count() + sum(len(batch.tasks) for batch in self._lost) + at_work
        self._fleet.grow(-(-tasks // self._batch_size))
        for most in range(_BATCHES_AT_ONCE):
            for worker in workers:
                if worker.starting is not None or len(worker.batches) > most:
                    continue
                batch = self._next(whole=most > 0)
                if batch is None:
                    return
                worker.batches[worker.actor.caption.remote([for_another_node(task) for task in batch.tasks])] = batch

    def _next(self, *, whole: bool) -> _Batch | None:
        """What is to be sent next: an actor with nothing to do gets part of a batch too."""
        if self._lost:
            return self._lost.popleft()
        if whole and self._reader.count() < self._batch_size and not self._reader.ended:
            return None
        tasks = self._reader.take(self._batch_size)
        return _Batch(tasks) if tasks else None

    def _settle(self, worker: _Worker, reference: Any) -> Iterator[Outcome]:
        from ray.exceptions import RayError, RayTaskError

        if worker not in self._fleet.workers:
            return
        try:
            result = self._ray.get(reference)
        except RayTaskError as error:  # our own code raised it: another actor would do the same
            if isinstance(error.cause, CaptionerError):
                raise error.cause from error
            raise
        except RayError as error:
            self._fleet.lose(worker, error)
            yield from self._salvage(worker)
            return
        if reference == worker.starting:
            self._fleet.has_started(worker)
            return
        yield from _outcomes(worker.batches.pop(reference), result)

    def _salvage(self, worker: _Worker) -> Iterator[Outcome]:
        """What a lost actor had done; it worked on the first batch of the rest, and had not begun the others."""
        from ray.exceptions import RayError

        at_work = True
        for reference, batch in worker.batches.items():
            try:
                yield from _outcomes(batch, self._ray.get(reference, timeout=_TICK_SECONDS))
            except RayError:
                if at_work:
                    yield from self._again(batch)
                else:
                    self._lost.append(batch)
                at_work = False

    def _again(self, batch: _Batch) -> Iterator[Outcome]:
        """Send what was lost once more, each file by itself, unless it is the file that does it."""
        if batch.lost + 1 < _LOST_ALONE:
            self._lost.extend(_Batch((task,), batch.lost + 1) for task in batch.tasks)
            return
        for task in batch.tasks:
            message = f"{task.item.path} lost {_LOST_ALONE} actors of Ray, which were captioning it"
            yield Outcome(task=task, failure=Failure(code="damaged", message=message))


def _outcomes(batch: _Batch, result: Iterable[Outcome]) -> Iterator[Outcome]:
    """An actor's outcomes, of the tasks as they are here."""
    tasks = {task.index: task for task in batch.tasks}
    for outcome in result:
        yield replace(outcome, task=tasks[outcome.task.index])


def _beside_the_driver(ray: Any) -> Any:
    """The actor that reads files of the driver's node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_concurrency": _READERS, "scheduling_strategy": here}
    return ray.remote(**options)(DriverFiles).remote()


def _reason(error: Exception) -> str:
    """The last line that an actor said of itself: the lines before are Ray's own, and a traceback."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return said[-1] if said else type(error).__name__


def _start() -> Any:
    """Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    os.environ.setdefault("RAY_worker_niceness", "0")  # on a busy machine its actors would starve
    ray = import_extra("ray", extra="ray", what="--engine ray", library="Ray")
    if not ray.is_initialized():
        where = os.environ.get("RAY_ADDRESS", "this machine")
        try:
            _check_reachable(where)
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            raise CaptionerError(f"Ray cannot be started or reached on {where}: {error}") from error
    return ray


def _check_reachable(address: str) -> None:
    """Raise OSError where nothing listens at ``HOST:PORT``: Ray itself would try for two minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
