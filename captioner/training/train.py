"""The training loop, from a recipe to a checkpoint folder, for any task.

The randomness of a step depends on the seed and the step's number alone, and the state is saved along the way. So a
killed run continues bit for bit when it is started again (on a CPU, with the same number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from captioner.config import to_dict
from captioner.errors import CaptionerError, ConfigError, counted
from captioner.io.lock import FolderLock, remove_leftovers
from captioner.io.status import Status
from captioner.safe.whole import writing
from captioner.training.actions import ActionTask
from captioner.training.captioning import CaptionTask
from captioner.training.config import Recipe
from captioner.training.log import TrainingLog
from captioner.training.optimizer import build_optimizer, rate_factor, set_rate
from captioner.training.processes import Processes
from captioner.training.retrieval import RetrievalTask
from captioner.training.runstate import (
    Average,
    Position,
    difference,
    digest,
    load_state,
    plain,
    save_state,
    save_tensors,
)
from captioner.training.task import Batch, Scores, Stage, Task
from captioner.training.words import WordsTask
from captioner.vision.precision import fast_dtype

TASKS: dict[str, Callable[[Recipe, TrainingLog, torch.device], Task]] = {
    "captions": CaptionTask,
    "actions": ActionTask,
    "words": WordsTask,
    "retrieval": RetrievalTask,
}
"""By ``task.kind`` of the recipe."""

_SAVE_SECONDS = 120.0

OnScore = Callable[[int, float], None]
"""Called with the number of validations so far and the score that chooses; may raise to end the run."""


def fit(
    recipe: Recipe,
    out: str | Path,
    *,
    quiet: bool = False,
    status: Status | None = None,
    on_score: OnScore | None = None,
) -> Path:
    """Train ``recipe`` into the folder ``out`` (or go on where it stopped); returns ``out/checkpoint``.

    ``out`` receives ``checkpoint/`` (the best on validation so far), ``state.pt`` (to resume from) and
    ``metrics.jsonl``. Raises ConfigError when ``out`` belongs to a run of another recipe, CaptionerError when another
    run is writing to it. Under torchrun every process calls it: see ``processes``. ``status``: where it says how far
    it is, in place of one of its own.
    """
    out = Path(out)
    _check_own(out)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    torch.manual_seed(recipe.train.seed)
    processes = Processes()
    if not processes.is_first:
        return Trainer(recipe, out, processes, status=Status(quiet=True)).run()
    with FolderLock(out):
        remove_leftovers(out)
        return Trainer(recipe, out, processes, status=status or Status(quiet=quiet), on_score=on_score).run()


def _check_own(out: Path) -> None:
    """Raise CaptionerError where the folder has files of the run's names that no run wrote."""
    if any((out / name).exists() for name in ("run.lock", "state.pt")):
        return
    for name in ("checkpoint", "best.pt", "metrics.jsonl"):
        if (out / name).exists():
            raise CaptionerError(f"{out / name} exists, and no training run made it; choose another --out")


class Trainer:
    """Drives a task: the position, the optimiser, the average of the weights, the log, the state on disk."""

    def __init__(
        self, recipe: Recipe, out: Path, processes: Processes, *, status: Status, on_score: OnScore | None = None
    ) -> None:
        self._on_score = on_score
        self._all = processes
        self.recipe, self.config, self.out = recipe, recipe.train, out
        state = load_state(out / "state.pt") if (out / "state.pt").exists() else None
        processes.wait()  # before anything is written
        if state and (why := difference(state["recipe"], recipe)):
            raise ConfigError(
                f"{out} holds a run of another recipe ({why}); choose another --out, and to go on from what was "
                f"learned there --set train.start={out / 'checkpoint'}"
            )
        self.position = Position(**state["position"]) if state else Position()
        self.log = TrainingLog(out if processes.is_first else None, records=self.position.records, status=status)
        self.device = processes.device
        self.task = TASKS[recipe.task.kind](recipe, self.log, self.device)
        self.model = self.task.model
        self.average = Average(self.model, self.config.ema)
        self.optimizer = build_optimizer(self.model, self.config, self.config.learning_rate)
        self._restored = state["optimizer"] if state else None
        if state:
            self.model.load_state_dict(state["model"])
            self.average.weights = {name: t.to(self.device) for name, t in state["average"].items()}
            self.average.count = state["averaged"]
            self.log.say(f"resuming {out} at step {self.position.step}")

    def run(self) -> Path:
        stages = self.task.stages
        for number in range(self.position.stage, len(stages)):
            if number > self.position.stage:
                self._next_stage(number, stages[number])
            if stages[number].epochs:
                self._run_stage(stages[number])
        if self.position.best_epoch == "" and self._all.is_first:  # nothing was validated: keep what there is
            self._save_checkpoint({})
        self._all.wait()
        return self.out / "checkpoint"

    def _next_stage(self, number: int, stage: Stage) -> None:
        """A fresh optimiser, from the averaged weights: the last, or after an early stop the best."""
        self._all.wait()
        stopped_early = self.config.patience and self.position.stale >= self.config.patience
        if stopped_early:
            self.model.load_state_dict(torch.load(self.out / "best.pt", map_location="cpu", weights_only=True))
        elif self.config.ema:
            self.model.load_state_dict(self.average.weights)
        self.position.stage, self.position.epoch, self.position.batch, self.position.stale = number, 0, 0, 0
        self.average = Average(self.model, self.config.ema)
        self.optimizer = build_optimizer(self.model, self.config, stage.learning_rate)

    def _run_stage(self, stage: Stage) -> None:
        if self._restored is not None:
            self.optimizer = build_optimizer(self.model, self.config, stage.learning_rate)
            self.optimizer.load_state_dict(self._restored)
            self._restored = None
        for epoch in range(self.position.epoch, stage.epochs):
            self.position.epoch = epoch
            started = time.monotonic()
            loss = self._run_epoch(stage, epoch)
            seconds = time.monotonic() - started
            self.position.epoch, self.position.batch, self.position.loss = epoch + 1, 0, 0.0
            stop = stage.validated and self._judge(stage, epoch, loss, seconds)
            self._save_state()
            if stop:
                self.log.say(f"{stage.name}: no better for {counted(self.config.patience, 'epoch')}; stopping early")
                break

    def _run_epoch(self, stage: Stage, epoch: int) -> float:
        rng = np.random.default_rng([self.config.seed, self.position.stage, epoch])
        batches = list(self.task.batches(stage, rng))
        total = stage.epochs * len(batches)
        saved = time.monotonic()
        for number, batch in enumerate(batches):
            if number < self.position.batch:
                continue
            progress = (epoch * len(batches) + number) / total
            set_rate(self.optimizer, rate_factor(progress, total, self.config.warmup_steps))
            torch.manual_seed(self.config.seed * 1_000_003 + self.position.step)
            batch_rng = np.random.default_rng([self.config.seed, self.position.stage, epoch, number])
            loss, extra = self._step(stage, batch, batch_rng)
            self.position.batch, self.position.step = number + 1, self.position.step + 1
            self.position.loss += loss
            rate = self.optimizer.param_groups[0]["lr"]
            self.log.record(
                step=self.position.step, stage=stage.name, values={"loss": loss, "learning_rate": rate} | extra
            )
            self.log.show(
                f"{stage.name} epoch {epoch + 1}/{stage.epochs}  batch {number + 1}/{len(batches)}  "
                f"loss {self.position.loss / self.position.batch:.3f}",
                share=(epoch * len(batches) + number + 1) / total,
                at_most=self.config.patience > 0,
            )
            if time.monotonic() - saved > _SAVE_SECONDS:
                self._save_state()
                saved = time.monotonic()
        return self.position.loss / len(batches)

    def _step(self, stage: Stage, batch: Batch, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
        self.optimizer.zero_grad(set_to_none=True)
        share = list(self._all.share(batch))
        own = share or batch[:1]  # more processes than examples: it takes part, and does not count
        with self._autocast():
            loss, extra = self.task.loss(stage, own, rng=rng, step=self.position.step)
        loss.backward()
        weight = self.task.weight(stage, share) if share else 0.0
        cost, *more = self._all.average(self.model, [loss.item(), *extra.values()], weight=weight)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.average.update(self.model)
        return cost, dict(zip(extra, more, strict=True))

    def _judge(self, stage: Stage, epoch: int, loss: float, seconds: float) -> bool:
        """:meth:`_validate` in the first process, and what it found in all."""

        def find() -> tuple[bool, dict[str, Any]]:
            return self._validate(stage, epoch, loss, seconds), vars(self.position)

        stop, position = self._all.from_first(find)
        self.position = Position(**position)
        return stop

    def _validate(self, stage: Stage, epoch: int, loss: float, seconds: float) -> bool:
        """Score the averaged weights on every validation set; True when it is time to stop early."""
        weights = {k: v.clone() for k, v in self.model.state_dict().items()}
        if self.config.ema:
            self.model.load_state_dict(self.average.weights)
        self.model.eval()
        self.log.show(f"{stage.name} epoch {epoch + 1}/{stage.epochs}  validating")
        with self._autocast():
            found = self.task.validate()
        better = (found.choice, found.tie_break) > (self.position.best, self.position.best_then)
        if better:
            self.position.best, self.position.best_then, self.position.stale = found.choice, found.tie_break, 0
            self.position.best_epoch = f"{stage.name} {epoch + 1}"
            save_tensors(self.out / "best.pt", self.model.state_dict())
            self._save_checkpoint(found.values)
        else:
            self.position.stale += 1
        self.model.load_state_dict(weights)
        values = {"epoch": epoch + 1, "train_loss": loss} | found.chosen_by | found.values
        self.log.record(step=self.position.step, stage=f"{stage.name}_val", values=values)
        self.log.say(
            f"{stage.name} epoch {epoch + 1}/{stage.epochs}  loss {loss:.4f}  {_summary(found)}"
            + ("  best" if better else "")
            + f"  ({seconds:.0f} s)"
        )
        self.position.validations += 1
        if self._on_score:
            self._on_score(self.position.validations, found.choice)
        return bool(self.config.patience) and self.position.stale >= self.config.patience

    def _autocast(self) -> AbstractContextManager[Any]:
        """bfloat16 where the processor computes in it; where it is emulated it would be a hundred times slower."""
        wanted = self.config.bf16 and fast_dtype(self.device) is torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=wanted)

    def _save_checkpoint(self, scores: dict[str, float]) -> None:
        self.task.save(
            self.out / "checkpoint",
            trained_on={
                "manifests": [digest(p) for p in self.recipe.data.manifests],
                "validation": {name: round(100 * score, 2) for name, score in scores.items()},
                "chosen_at": self.position.best_epoch,
                "train": to_dict(self.config) | {"start": self.task.start},
            },
        )

    def _save_state(self) -> None:
        if not self._all.is_first:
            return
        self.position.records = self.log.records
        save_state(
            self.out / "state.pt",
            position=self.position,
            recipe=plain(self.recipe),
            model=self.model,
            average=self.average,
            optimizer=self.optimizer,
        )


def _summary(found: Scores) -> str:
    """The scores for people: shares as percent, losses as they are."""
    shares = [f"{name} {100 * value:.1f}" for name, value in found.values.items()]
    return "  ".join(
        [*shares, *(f"{name} {value:.4f}" for name, value in found.chosen_by.items() if name.endswith("loss"))]
    )
