"""A small share of ``python -m tests.situations``, and that it would notice what must not be."""

from __future__ import annotations

import dataclasses
import signal
import sys
from pathlib import Path

import pytest

from tests.situations import End, Situation, digests, draw, faults, try_one
from tests.world import COMMANDS, make_clips

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs limits and /proc: run on Linux")

LIGHT = {name: COMMANDS[name] for name in ("probe", "probe what is broken", "help", "wrong", "sample")}
"""Commands that load neither torch nor a checkpoint."""


def test_light_commands_in_bad_situations(tmp_path: Path) -> None:
    make_clips(tmp_path / "kept" / "clips")
    assert try_one(draw(0, 1, commands=LIGHT), tmp_path) == []
    wrong = Situation(0, ("captioner", "probe", "{kept}/clips/a.mp4"), folder_gone=True, streams=("full stdout",))
    assert try_one(wrong, tmp_path) == []


def test_situations_depend_on_seed_and_number_alone() -> None:
    first, again, other = ([draw(seed, number) for number in range(200)] for seed in (3, 3, 4))
    assert first == again != other
    assert len({situation.command for situation in first}) > 20
    assert {situation.signal for situation in first} == {None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    assert sum(situation.disk_bytes is not None for situation in first) > 20


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (End(0, "fine", ""), []),
        (End(1, "", "captioner: no"), []),
        (End(None, "", ""), ["still ran after 300 seconds"]),
        (End(-11, "", "x"), ["exit status -11"]),
        (End(1, "", "Traceback (most recent call last):"), ["Traceback (most recent"]),
        (End(1, "", ""), ["failed without a word"]),
        (End(130, "", "stopped"), ["stopped by SIGHUP under nohup"]),
    ],
)
def test_what_must_not_be_is_found(end: End, found: list[str]) -> None:
    situation = Situation(0, ("captioner",))
    if end.status == 130:
        assert faults(situation, end, before={}, after={}, left=[]) == []
        situation = dataclasses.replace(situation, signal=signal.SIGHUP, under_nohup=True)
    assert faults(situation, end, before={}, after={}, left=[]) == found


def test_files_that_were_there_are_watched(tmp_path: Path) -> None:
    for name in ("kept", "changed", "removed", ".old.part"):
        (tmp_path / name).write_text(name)
    before = digests(tmp_path)
    (tmp_path / "changed").write_text("changee")
    (tmp_path / "removed").unlink()
    left = [tmp_path / ".old.part", tmp_path / ".new.part"]
    found = faults(Situation(0, ()), End(0, "", ""), before=before, after=digests(tmp_path), left=left)
    assert sorted(found) == [f"changed {tmp_path / 'changed'}", f"left {left[1]}", f"removed {tmp_path / 'removed'}"]
