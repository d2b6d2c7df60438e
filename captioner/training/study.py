"""Hyper-parameter search with Optuna (Akiba et al. 2019): each trial is a training run, kept in a SQLite study.

A killed search goes on where it was, and several processes may work on one study. Features are cached once for all.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from captioner.errors import CaptionerError, ConfigError
from captioner.training.config import Recipe
from captioner.training.space import Choices, Space, with_settings

Sampler = Literal["grid", "random", "tpe"]


@dataclass(frozen=True)
class Trial:
    """One setting that was tried."""

    number: int
    values: dict[str, Any]
    score: float | None
    """The score that chooses a checkpoint, at its best; None for one that was stopped before it was validated."""
    state: str
    """``complete``, ``pruned``, ``running`` or ``fail``."""
    seconds: float | None


def search(
    recipe: Recipe,
    space: Space,
    out: Path,
    *,
    trials: int,
    sampler: Sampler = "tpe",
    seed: int = 0,
    prune: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> list[Trial]:
    """Run trials until the study in ``out`` has ``trials`` that ended; returns all, in order.

    Raises CaptionerError where Optuna is missing, ConfigError where ``out`` holds a study of another recipe or space.
    """
    optuna = _optuna()
    out.mkdir(parents=True, exist_ok=True)
    study = _study(optuna, out, space, sampler=sampler, seed=seed, prune=prune)
    _same_study(study, recipe, space, out)
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL)
    if sampler == "grid":
        trials = min(trials, math.prod(len(choice.grid()) for choice in space.values()))

    def objective(trial: Any) -> float:
        from captioner.training.train import fit

        values = {name: _suggest(trial, name, choice) for name, choice in space.items()}
        best = -math.inf

        def on_score(step: int, score: float) -> None:
            nonlocal best
            best = max(best, score)
            trial.set_user_attr("best", best)
            trial.report(score, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        folder = out / f"trial-{trial.number:03}"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        fit(with_settings(recipe, values), folder, quiet=True, on_score=on_score)
        return best

    def told(study: Any, trial: Any) -> None:
        row = _trial(trial)
        score = "" if row.score is None else f"{100 * row.score:.2f}"
        say(f"trial {row.number}  {row.state}  {score}  " + "  ".join(f"{k}={v}" for k, v in row.values.items()))

    limit = optuna.study.MaxTrialsCallback(trials, states=ended)
    if len(study.get_trials(deepcopy=False, states=ended)) < trials:
        study.optimize(objective, callbacks=[limit, told], catch=(CaptionerError,))
    return [_trial(trial) for trial in study.get_trials(deepcopy=False)]


def best_of(trials: Iterable[Trial]) -> Trial:
    """The complete trial of the highest score; raises CaptionerError where there is none."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.score is not None]
    if not complete:
        raise CaptionerError("no trial came to its end; see the reasons above")
    return max(complete, key=lambda trial: trial.score or -math.inf)


def table(trials: Sequence[Trial]) -> str:
    """The trials, best first, as text."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    rows = [["trial", "score", "state", "seconds", *names]]
    for trial in sorted(
        trials, key=lambda t: (t.state != "complete", -(t.score if t.score is not None else -math.inf))
    ):
        score = "" if trial.score is None else f"{100 * trial.score:.2f}"
        seconds = "" if trial.seconds is None else f"{trial.seconds:.0f}"
        settings = [f"{v:.4g}" if isinstance(v := trial.values.get(name, ""), float) else str(v) for name in names]
        rows.append([str(trial.number), score, trial.state, seconds, *settings])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def picture(trials: Sequence[Trial]) -> str:
    """An SVG of the scores in the order of the trials, and the best so far as a line."""
    scored = [trial for trial in trials if trial.score is not None]
    width, height, left, floor, top = 640, 260, 56, 220, 20
    scores = [100 * (trial.score or 0) for trial in scored] or [0.0]
    low, high = min(scores), max(max(scores), min(scores) + 1e-6)
    last = max([1, *(trial.number for trial in scored)])

    def at(trial: Trial, score: float) -> str:
        x = left + (width - left - 20) * trial.number / last
        return f"{x:.1f},{floor - (floor - top) * (score - low) / (high - low):.1f}"

    best, line, dots = -math.inf, [], []
    for trial, score in zip(scored, scores, strict=False):
        if trial.state == "complete":
            best = max(best, score)
            line.append(at(trial, best))
        x, y = at(trial, score).split(",")
        settings = ", ".join(f"{name} = {value}" for name, value in trial.values.items())
        fill = "#0b62a8" if trial.state == "complete" else "none"
        dots.append(
            f'<circle cx="{x}" cy="{y}" r="4" stroke="#0b62a8" fill="{fill}">'
            f"<title>trial {trial.number}: {score:.2f} ({trial.state}); {settings}</title></circle>"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<path d="M{left},{top}V{floor}H{width - 20}" fill="none" stroke="#999"/>'
        f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{high:.1f}</text>'
        f'<text x="{left - 6}" y="{floor}" text-anchor="end">{low:.1f}</text>'
        f'<text x="{(left + width) / 2}" y="{height - 12}" text-anchor="middle">trial (hollow: pruned)</text>'
        f'<polyline points="{" ".join(line)}" fill="none" stroke="#9a3412" stroke-width="1.5"/>'
        + "".join(dots)
        + "</svg>\n"
    )


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the heartbeat, since 2021
        again = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=2)  # a trial whose process was killed
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{out / 'study.db'}", heartbeat_interval=60, heartbeat_stale_trial_callback=again
        )
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if prune else optuna.pruners.NopPruner()
    return optuna.create_study(
        study_name="captioner",
        storage=storage,
        sampler=chosen,
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )


def _same_study(study: Any, recipe: Recipe, space: Space, out: Path) -> None:
    from captioner.training.runstate import first_difference, plain

    wanted = {"recipe": plain(recipe), "space": {name: repr(choice) for name, choice in space.items()}}
    found = study.user_attrs
    if not found:
        for name, value in wanted.items():
            study.set_user_attr(name, value)
        return
    if found.get("recipe") != wanted["recipe"]:
        why = first_difference(found["recipe"], wanted["recipe"])
        raise ConfigError(f"{out} holds a search of another recipe ({why}); choose another --out")
    if found.get("space") != wanted["space"]:
        raise ConfigError(f"{out} holds a search of another space; choose another --out")


def _suggest(trial: Any, name: str, choice: Any) -> Any:
    if isinstance(choice, Choices):
        return trial.suggest_categorical(name, list(choice.values))
    if choice.whole:
        return trial.suggest_int(name, choice.low, choice.high, step=choice.step or 1, log=choice.log)
    return trial.suggest_float(name, choice.low, choice.high, step=choice.step, log=choice.log)


def _trial(trial: Any) -> Trial:
    return Trial(
        number=trial.number,
        values=dict(trial.params),
        score=trial.user_attrs.get("best", trial.value),
        state=trial.state.name.lower(),
        seconds=trial.duration.total_seconds() if trial.duration else None,
    )
