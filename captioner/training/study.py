"""Hyper-parameter search with Optuna (Akiba et al. 2019): each trial is a training run, kept in a SQLite study.

A killed search goes on in the middle of its trial, and several processes may work on one study: a lock in the trial's
folder tells whether its process lives. Features are cached once for all, and a trial leaves its curve behind, only the
best one its checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import time
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from captioner.errors import CaptionerError, ConfigError
from captioner.io.extras import import_extra
from captioner.io.lock import FolderLock
from captioner.io.status import Part, Status, duration
from captioner.training.config import Recipe
from captioner.training.runstate import difference, plain
from captioner.training.space import Choices, Space, with_settings
from captioner.training.trials import Trial, best_of

Sampler = Literal["grid", "random", "tpe"]

_LOCK = "trial.lock"
_LOCKED_SECONDS = 5.0
"""A trial that began so long ago has its lock, if its process lives."""
_KEPT = ("metrics.jsonl", "tensorboard")
"""Of every trial; of the best also the checkpoint."""


def search(
    recipe: Recipe,
    space: Space,
    out: Path,
    *,
    trials: int,
    sampler: Sampler = "tpe",
    seed: int = 0,
    prune: bool = True,
    status: Status | None = None,
) -> list[Trial]:
    """Run trials until the study in ``out`` has ``trials`` that ended; returns all, in order.

    Raises CaptionerError where Optuna is missing, ConfigError where ``out`` holds a study of another recipe or space.
    """
    study = Study(recipe, space, out, status=status or Status(quiet=True))
    study.open(sampler, seed=seed, prune=prune)
    if sampler == "grid":
        trials = min(trials, math.prod(len(choice.grid()) for choice in space.values()))
    while study.run_one(of=trials):
        pass
    return study.rows()


class Study:
    """Optuna's study in a folder; a trial is a training run in a folder of its own."""

    def __init__(self, recipe: Recipe, space: Space, out: Path, *, status: Status) -> None:
        self._optuna = import_extra("optuna", extra="search", what="a search of settings")
        import_extra("tomli_w", extra="search", what="the best recipe")  # better missed now than after the trials
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self._recipe, self._space, self._out, self._status = recipe, space, out, status
        self._study: Any = None

    def open(self, sampler: Sampler, *, seed: int, prune: bool) -> None:
        """Make the study, or take up the one that is there. Raises ConfigError for one of another recipe or space."""
        samplers, pruners = self._optuna.samplers, self._optuna.pruners
        if sampler == "grid":
            chosen = samplers.GridSampler({name: choice.grid() for name, choice in self._space.items()}, seed=seed)
        else:
            chosen = samplers.RandomSampler(seed=seed) if sampler == "random" else samplers.TPESampler(seed=seed)
        self._out.mkdir(parents=True, exist_ok=True)
        self._study = self._optuna.create_study(
            study_name="captioner",
            storage=f"sqlite:///{self._out / 'study.db'}",
            sampler=chosen,
            pruner=pruners.MedianPruner(n_startup_trials=4) if prune else pruners.NopPruner(),
            direction="maximize",
            load_if_exists=True,
        )
        space = {name: repr(choice) for name, choice in self._space.items()}
        found = self._study.user_attrs
        if not found:
            self._study.set_user_attr("recipe", plain(self._recipe))
            self._study.set_user_attr("space", space)
        elif why := difference(found["recipe"], self._recipe):
            raise ConfigError(f"{self._out} holds a search for another recipe ({why}); choose another --out")
        elif found.get("space") != space:
            raise ConfigError(f"{self._out} holds a search in another space; choose another --out")

    def rows(self) -> list[Trial]:
        """All trials, in order."""
        return [_row(trial) for trial in self._study.get_trials(deepcopy=False)]

    def run_one(self, *, of: int) -> bool:
        """Run one trial to its end, an abandoned one first; False where there are ``of`` trials already."""
        with contextlib.ExitStack() as held:
            trial = self._abandoned(held)
            if trial is None:
                if len(self.rows()) >= of:
                    return False
                trial = self._study.ask()
                held.enter_context(self._lock(trial.number))
            self._train(trial, of)
        self._tidy(trial.number)
        self._status.say(_summary(self._study.trials[trial.number]))
        return True

    def _train(self, trial: Any, of: int) -> None:
        """Train one trial and record its end in the study. A trial that is killed before can resume."""
        from captioner.training.train import fit

        values = {name: _suggest(trial, name, choice) for name, choice in self._space.items()}
        best = trial.user_attrs.get("best", -math.inf)

        def on_score(step: int, score: float) -> None:
            nonlocal best
            best = max(best, score)
            trial.set_user_attr("best", best)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a step that was reported before the trial was killed
                trial.report(score, step)
            if trial.should_prune():
                raise self._optuna.TrialPruned

        status = Part(self._status, self._place(trial.number, of))
        states = self._optuna.trial.TrialState
        try:
            fit(with_settings(self._recipe, values), self._folder(trial.number), status=status, on_score=on_score)
            self._tell(trial, values=best)
        except self._optuna.TrialPruned:
            self._tell(trial, state=states.PRUNED)
        except Exception as error:
            trial.set_user_attr("error", str(error))
            self._tell(trial, state=states.FAIL)
            if not isinstance(error, CaptionerError):
                raise

    def _tell(self, trial: Any, **end: Any) -> None:
        try:
            self._study.tell(trial.number, **end)
        except RuntimeError:  # Optuna's grid stops Optuna's own loop after the last trial; there is no such loop here
            if not self._study.trials[trial.number].state.is_finished():
                raise

    def _tidy(self, ended: int) -> None:
        """Delete the run state of an ended trial, and the checkpoints of all but the best."""
        with contextlib.suppress(CaptionerError):
            best = best_of(self.rows()).number
            for trial in self.rows():
                if trial.state != "running" and trial.number != best:
                    shutil.rmtree(self._folder(trial.number) / "checkpoint", ignore_errors=True)
        for path in self._folder(ended).iterdir() if self._folder(ended).is_dir() else ():
            if path.is_file() and path.name not in _KEPT:
                path.unlink(missing_ok=True)

    def _abandoned(self, held: contextlib.ExitStack) -> Any:
        """A trial whose process was killed; its lock goes to ``held``. None if there is no such trial."""
        running = (self._optuna.trial.TrialState.RUNNING,)
        for frozen in self._study.get_trials(deepcopy=False, states=running):
            age = (datetime.now() - frozen.datetime_start).total_seconds()
            time.sleep(max(0.0, min(_LOCKED_SECONDS, _LOCKED_SECONDS - age)))
            with contextlib.suppress(CaptionerError):
                held.enter_context(self._lock(frozen.number))
                return self._optuna.trial.Trial(self._study, frozen._trial_id)
        return None

    def _place(self, number: int, of: int) -> str:
        """The number of the trial, and an estimate of the time that is left."""
        took = [row.seconds for row in self.rows() if row.seconds is not None]
        left = f", about {duration(sum(took) / len(took) * (of - len(took)))} left" if took else ""
        return f"trial {number} ({len(took) + 1} of {of}{left})"

    def _folder(self, number: int) -> Path:
        return self._out / f"trial-{number:03}"

    def _lock(self, number: int) -> FolderLock:
        self._folder(number).mkdir(exist_ok=True)
        return FolderLock(self._folder(number), name=_LOCK)


def _summary(trial: Any) -> str:
    row = _row(trial)
    score = "" if row.score is None else f"{100 * row.score:.2f}"
    parts = [f"trial {row.number}", row.state, score, *(f"{k}={v}" for k, v in row.values.items())]
    return "  ".join([*parts, *([trial.user_attrs["error"]] if "error" in trial.user_attrs else [])])


def _suggest(trial: Any, name: str, choice: Any) -> Any:
    if isinstance(choice, Choices):
        return trial.suggest_categorical(name, list(choice.values))
    if choice.whole:
        return trial.suggest_int(name, choice.low, choice.high, step=choice.step or 1, log=choice.log)
    return trial.suggest_float(name, choice.low, choice.high, step=choice.step, log=choice.log)


def _row(trial: Any) -> Trial:
    return Trial(
        number=trial.number,
        values=dict(trial.params),
        score=trial.user_attrs.get("best", trial.value),
        state=trial.state.name.lower(),
        seconds=trial.duration.total_seconds() if trial.duration else None,
    )
