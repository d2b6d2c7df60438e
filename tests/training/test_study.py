"""A search of settings: it tries what the space says, goes on after a kill, prunes, and writes the best recipe."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from captioner.cli import main
from captioner.errors import CheckpointError, ConfigError
from captioner.io.lock import FolderLock
from captioner.training import study
from captioner.training.config import Recipe, load_recipe
from captioner.training.log import TrainingLog
from captioner.training.space import Choices, Range, read_space, with_settings
from captioner.training.trials import Trial, best_of, picture, table
from tests.tiny import tiny_cnn

optuna = pytest.importorskip("optuna", reason="pip install 'captioner[search]'")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from captioner.manifest import write_manifest
    from data.order import order

    folder = tmp_path_factory.mktemp("search")
    clips = [c for c in order(folder, train=24, val=12, test=0, size=48) if "moves" in c.labels[0]]
    write_manifest(folder / "manifest.jsonl", clips)
    tiny_cnn(folder / "cnn")
    (folder / "recipe.toml").write_text(
        '[task]\nkind = "actions"\n[data]\nmanifests = ["manifest.jsonl"]\n[video]\nframes = 3\nsize = 32\n'
        '[encoder]\nsource = "cnn"\nweights = "random"\n[head]\nhidden = 8\n'
        "[train]\nepochs = 2\nbatch_size = 4\nthreads = 1\n"
    )
    return folder / "recipe.toml"


def test_a_grid_is_tried_whole_and_resumed(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = tmp_path / "space.toml"
    space.write_text('[head]\ncell = ["gru", "lstm"]\n[train]\nbatch_size = {low = 4, high = 8, step = 4}\n')
    out = tmp_path / "out"
    command = ["search", str(recipe), str(space), "--sampler", "grid", "--no-prune", "-o", str(out)]
    assert main([*command, "--trials", "2"]) == 0
    assert len(json.loads((out / "trials.json").read_text())) == 2
    assert main(command) == 0  # 30 at most; the grid has 4
    trials = json.loads((out / "trials.json").read_text())
    assert [trial["state"] for trial in trials] == ["complete"] * 4
    assert len({tuple(trial["values"].items()) for trial in trials}) == 4
    best = load_recipe(out / "best.toml")
    winner = max(trials, key=lambda trial: trial["score"])
    assert best == with_settings(load_recipe(recipe), winner["values"])
    assert "lstm" in capsys.readouterr().out
    assert (out / "trials.svg").read_text().count("<circle") == 4
    monkeypatch.setattr("captioner.training.train.fit", None)  # nothing is trained again
    (out / "best.toml").write_text("# mine\n" + (out / "best.toml").read_text())
    assert main(command) == 0
    assert (out / "best.toml").read_text().startswith("# mine")
    told = capsys.readouterr()
    assert "best.toml was edited and stays as it is" in told.err and "best.toml" not in told.out
    (out / "best.toml").unlink()
    assert main(command) == 0 and load_recipe(out / "best.toml") == best
    space.write_text("[train]\nbatch_size = [4]\n")
    assert main(command) == 1
    assert "holds a search in another space" in capsys.readouterr().err
    assert main([*command, "--set", "train.epochs=3"]) == 1
    assert "train.epochs was 2, now 3" in capsys.readouterr().err


def test_a_killed_trial_is_taken_up_where_it_was(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what it leaves in the end is its curve, and the checkpoint of the best."""
    monkeypatch.setattr(study, "_LOCKED_SECONDS", 0.0)
    monkeypatch.setattr("captioner.training.train._SAVE_SECONDS", 0.0)
    space = tmp_path / "space.toml"
    space.write_text("[train]\nlearning_rate = [1e-3, 1e-2]\n")
    command = ["search", str(recipe), str(space), "--sampler", "grid", "--no-prune", "-o"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    out, record = tmp_path / "killed", TrainingLog.record
    for at, first in ((2, 1), (4, 2)):
        steps: list[int] = []

        def dying(self: TrainingLog, *, step: int, steps: list[int] = steps, at: int = at, **values: Any) -> None:
            record(self, step=step, **values)
            steps.append(step)
            if step == at:
                raise KeyboardInterrupt

        monkeypatch.setattr(TrainingLog, "record", dying)
        assert main([*command, str(out)]) == 130
        assert steps[0] == first, "it goes on from the last state"
    monkeypatch.setattr(TrainingLog, "record", record)
    with FolderLock(out / "trial-000", name="trial.lock"):  # another process is at it
        assert main([*command, str(out), "--trials", "1"]) == 1
        assert "no trial finished" in capsys.readouterr().err
    assert main([*command, str(out)]) == 0
    whole, killed = (json.loads((tmp_path / name / "trials.json").read_text()) for name in ("whole", "killed"))
    assert [(t["number"], t["values"], t["score"]) for t in killed] == [
        (t["number"], t["values"], t["score"]) for t in whole
    ]
    best = max(killed, key=lambda trial: trial["score"])["number"]
    left = {str(path.relative_to(out)) for path in out.glob("trial-*/*")}
    assert left == {"trial-000/metrics.jsonl", "trial-001/metrics.jsonl", f"trial-{best:03}/checkpoint"}


def test_a_trial_that_fails_says_why_and_leaves_nothing(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def save(*args: object, **options: object) -> None:
        raise CheckpointError("the training has diverged")

    monkeypatch.setattr("captioner.training.actions.ActionTask.save", save)
    (tmp_path / "space.toml").write_text("[train]\nbatch_size = [4]\n")
    command = ["search", str(recipe), str(tmp_path / "space.toml"), "--sampler", "grid", "-o", str(tmp_path / "out")]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "trial 0  fail" in said and "the training has diverged" in said and "no trial finished" in said
    assert [path.name for path in (tmp_path / "out" / "trial-000").iterdir()] == ["metrics.jsonl"]


def test_a_trial_below_the_median_is_stopped(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a training that scores by its rate alone: after four trials the worst ends at its first validation."""
    seen: dict[float, int] = {}

    def fit(recipe: Recipe, out: Path, *, status: object, on_score: object) -> None:
        for step in range(1, 4):
            seen[recipe.train.learning_rate] = step
            on_score(step, recipe.train.learning_rate * step)  # type: ignore[operator]

    monkeypatch.setattr("captioner.training.train.fit", fit)
    space = tmp_path / "space.toml"
    space.write_text("[train]\nlearning_rate = [0.5, 0.4, 0.3, 0.2, 0.1, 0.05]\n")
    assert main(["search", str(recipe), str(space), "--sampler", "grid", "-o", str(tmp_path / "out")]) == 0
    states = [trial["state"] for trial in json.loads((tmp_path / "out" / "trials.json").read_text())]
    assert "pruned" in states and states.count("complete") >= 4
    assert min(seen.values()) < 3
    assert "pruned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nlearning_rat = [1e-3]\n", "train has no setting 'learning_rat'; did you mean 'learning_rate'?"),
        ("[trian]\nepochs = [1]\n", "a recipe has no section 'trian'"),
        ("[train]\nepochs = 3\n", "train.epochs is 3; give a list of values, or low and high"),
        ("[train]\nepochs = []\n", "train.epochs is an empty list"),
        ("[train]\nepochs = {low = 3, high = 1}\n", "needs numbers low and high, low below high"),
        ("[train]\nepochs = {low = 1, hihg = 3}\n", "has no 'hihg'; known: low, high, step, log"),
        ("[train]\nlearning_rate = {low = 0, high = 1, log = true}\n", "log takes no step, and low above 0"),
        ('[head]\ncell = ["gru", "rnn"]\n', "head.cell is 'rnn'; allowed"),
        ("", "holds nothing to search"),
    ],
)
def test_a_space_that_cannot_be_searched(text: str, message: str, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_space(tmp_path / "space.toml", load_recipe(recipe))


def test_grids() -> None:
    assert Choices((1, "a")).grid() == [1, "a"]
    assert Range(1, 7, 3).grid() == [1, 4, 7]
    with pytest.raises(ConfigError, match="a grid needs a step"):
        Range(1, 2).grid()


def test_the_table_puts_the_best_first() -> None:
    trials = [Trial(0, {"a.b": 1}, 0.5, "complete", 1.0), Trial(1, {"a.b": 2}, 0.7, "complete", 2.0)]
    assert table(trials).splitlines()[1].split() == ["1", "70.00", "complete", "2", "2"]
    assert best_of(trials).number == 1
    assert "<title>trial 1: 70.00" in picture(trials)
