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

from captioner.config import first_difference
from captioner.errors import CaptionerError, ConfigError
from captioner.io.lock import FolderLock
from captioner.io.status import Part, Status, duration
from captioner.training.config import Recipe
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
    optuna = _optuna()
    out.mkdir(parents=True, exist_ok=True)
    study = _study(optuna, out, space, sampler=sampler, seed=seed, prune=prune)
    _same_study(study, recipe, space, out)
    if sampler == "grid":
        trials = min(trials, math.prod(len(choice.grid()) for choice in space.values()))
    status = status or Status(quiet=True)
    while True:
        with contextlib.ExitStack() as held:
            trial = _abandoned(optuna, study, out, held)
            if trial is None:
                if len(study.get_trials(deepcopy=False)) >= trials:
                    break
                trial = study.ask()
                held.enter_context(_lock(out, trial.number))
            _run(optuna, study, trial, recipe, space, out, Part(status, _place(study, trial.number, trials)))
        _tidy(study, out, trial.number)
        status.say(_told(study.trials[trial.number]))
    return [_row(trial) for trial in study.get_trials(deepcopy=False)]


def _run(optuna: Any, study: Any, trial: Any, recipe: Recipe, space: Space, out: Path, status: Status) -> None:
    """One trial to its end, which the study is told. Stopped before that, it can be taken up again."""
    from captioner.training.train import fit

    values = {name: _suggest(trial, name, choice) for name, choice in space.items()}
    best = trial.user_attrs.get("best", -math.inf)

    def on_score(step: int, score: float) -> None:
        nonlocal best
        best = max(best, score)
        trial.set_user_attr("best", best)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a step that was reported before the trial was killed
            trial.report(score, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    states = optuna.trial.TrialState
    try:
        fit(with_settings(recipe, values), _folder(out, trial.number), status=status, on_score=on_score)
        end: dict[str, Any] = {"values": best}
    except optuna.TrialPruned:
        end = {"state": states.PRUNED}
    except Exception as error:
        trial.set_user_attr("error", str(error))
        _tell(study, trial, state=states.FAIL)
        if not isinstance(error, CaptionerError):
            raise
        return
    _tell(study, trial, **end)


def _tell(study: Any, trial: Any, **end: Any) -> None:
    try:
        study.tell(trial.number, **end)
    except RuntimeError:  # Optuna's grid stops Optuna's own loop after the last trial; there is no such loop here
        if not study.trials[trial.number].state.is_finished():
            raise


def _tidy(study: Any, out: Path, ended: int) -> None:
    """Delete the run state of an ended trial, and the checkpoints of all but the best."""
    trials = [_row(trial) for trial in study.get_trials(deepcopy=False)]
    with contextlib.suppress(CaptionerError):
        best = best_of(trials).number
        for trial in trials:
            if trial.state != "running" and trial.number != best:
                shutil.rmtree(_folder(out, trial.number) / "checkpoint", ignore_errors=True)
    for path in _folder(out, ended).iterdir() if _folder(out, ended).is_dir() else ():
        if path.is_file() and path.name not in _KEPT:
            path.unlink(missing_ok=True)


def _abandoned(optuna: Any, study: Any, out: Path, held: contextlib.ExitStack) -> Any:
    """A trial whose process was killed, with its lock now in ``held``; None without one."""
    for frozen in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        age = (datetime.now() - frozen.datetime_start).total_seconds()
        time.sleep(max(0.0, min(_LOCKED_SECONDS, _LOCKED_SECONDS - age)))
        with contextlib.suppress(CaptionerError):
            held.enter_context(_lock(out, frozen.number))
            return optuna.trial.Trial(study, frozen._trial_id)
    return None


def _place(study: Any, number: int, trials: int) -> str:
    """Which trial it is, and about how long the search takes yet."""
    took = [row.seconds for row in map(_row, study.get_trials(deepcopy=False)) if row.seconds is not None]
    left = f", about {duration(sum(took) / len(took) * (trials - len(took)))} left" if took else ""
    return f"trial {number} ({len(took) + 1} of {trials}{left})"


def _folder(out: Path, number: int) -> Path:
    return out / f"trial-{number:03}"


def _lock(out: Path, number: int) -> FolderLock:
    _folder(out, number).mkdir(exist_ok=True)
    return FolderLock(_folder(out, number), name=_LOCK)


def _optuna() -> Any:
    try:
        import optuna
        import tomli_w  # noqa: F401 - the best recipe is written with it; better missed now than after the trials
    except ImportError:
        raise CaptionerError("a search of settings needs Optuna: pip install 'captioner[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(optuna: Any, out: Path, space: Space, *, sampler: Sampler, seed: int, prune: bool) -> Any:
    if sampler == "grid":
        chosen = optuna.samplers.GridSampler({name: choice.grid() for name, choice in space.items()}, seed=seed)
    elif sampler == "random":
        chosen = optuna.samplers.RandomSampler(seed=seed)
    else:
        chosen = optuna.samplers.TPESampler(seed=seed)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if prune else optuna.pruners.NopPruner()
    return optuna.create_study(
        study_name="captioner",
        storage=f"sqlite:///{out / 'study.db'}",
        sampler=chosen,
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )


def _same_study(study: Any, recipe: Recipe, space: Space, out: Path) -> None:
    from captioner.training.runstate import plain

    wanted = {"recipe": plain(recipe), "space": {name: repr(choice) for name, choice in space.items()}}
    found = study.user_attrs
    if not found:
        for name, value in wanted.items():
            study.set_user_attr(name, value)
        return
    if found.get("recipe") != wanted["recipe"]:
        why = first_difference(found["recipe"], wanted["recipe"])
        raise ConfigError(f"{out} holds a search for another recipe ({why}); choose another --out")
    if found.get("space") != wanted["space"]:
        raise ConfigError(f"{out} holds a search in another space; choose another --out")


def _told(trial: Any) -> str:
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
