"""How far a run is: a sign of life at once and then now and then, with the time left."""

from __future__ import annotations

from pathlib import Path

import pytest

from captioner.cli import main
from captioner.errors import ConfigError
from captioner.io import status as status_module
from captioner.io.status import Part, Status, TimeLeft


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(status_module.time, "monotonic", clock)
    return clock


def test_a_log_file_gets_a_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    status = Status()
    status.show("batch 0", share=0.0)
    for batch in range(1, 101):
        clock.now += 1
        status.show(f"batch {batch}", share=batch / 400)
    status.say("done")
    clock.now += 29
    status.show("soon")
    assert capsys.readouterr().err.splitlines() == [
        "batch 30, 6 min 10 s left",
        "batch 60, 5 min 40 s left",
        "batch 90, 5 min 10 s left",
        "done",
    ]
    Status(quiet=True).say("not heard")
    assert not capsys.readouterr().err


def test_a_piece_of_the_work_tells_through_the_whole(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    part = Part(Status(), "trial 3")
    clock.now += 40
    part.say("epoch 1 is over")
    part.show("epoch 2", share=0.5)
    assert capsys.readouterr().err == "trial 3: epoch 2\n"


def test_another_piece_of_work_is_timed_anew(clock: Clock) -> None:
    left = TimeLeft()
    assert left.after(0.25) is None, "a run that was resumed"
    clock.now += 10
    assert left.after(0.5) == pytest.approx(20)
    assert left.after(0.0) is None
    clock.now += 3
    assert left.after(0.1) == pytest.approx(27)


@pytest.mark.parametrize("command", [["train"], ["search", "space.toml"], ["features"]])
def test_the_first_line_stands_before_anything_is_loaded(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text('[data]\nmanifests = ["gone.jsonl"]\n')
    Path("space.toml").write_text("[train]\nepochs = [1]\n")
    monkeypatch.setattr("captioner.training.train.fit", no_fit)
    command = [command[0], "x.toml", *command[1:]]
    assert main(command) == 1
    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith("captioner: ") and "x.toml" in first and others
    assert main([*command, "--quiet"]) == 1
    assert "x.toml" not in capsys.readouterr().err


def no_fit(*arguments: object, **options: object) -> None:
    raise ConfigError("there is nothing to train")
