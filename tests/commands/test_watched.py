"""``captioner caption --watch`` as a process of its own: signals, kills, full disks and files that come and go."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from captioner.cli import main
from tests.media import render_clip, render_text

ROOT = Path(__file__).parents[2]


class Watcher:
    """The process, and what it said so far."""

    def __init__(self, folder: Path, checkpoint: Path, *arguments: str, limit: str = "") -> None:
        self.folder, self.said_in = folder, folder / "said"
        command = [
            *(sys.executable, "-m", "captioner", "caption", "in", "-r", "-m", str(checkpoint), "--watch"),
            *("--settle", "0.1", "--jobs", "1", "--log-json", "--metrics-port", "0", *arguments),
        ]
        with self.said_in.open("w") as said:
            self.process = subprocess.Popen(
                ["bash", "-c", f'{limit} exec "$@"', "-", *command],
                cwd=folder,
                stderr=said,
                stdout=said,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            )

    def events(self, name: str = "") -> list[dict[str, Any]]:
        lines = [line for line in self.said_in.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == (name or event["event"])]

    def until(self, reached: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end and self.process.poll() is None, self.said_in.read_text()
            time.sleep(0.02)

    def metrics(self) -> str:
        [address] = re.findall(r"http://\S+/metrics", self.said_in.read_text())
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read().decode())

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for number in range(4):
        render_clip(tmp_path / "in" / f"{number}.mp4", frames=24 + number)
    return tmp_path


@contextlib.contextmanager
def watching(folder: Path, checkpoint: Path, *arguments: str, limit: str = "") -> Iterator[Watcher]:
    watcher = Watcher(folder, checkpoint, *arguments, limit=limit)
    try:
        yield watcher
    finally:
        watcher.process.kill()
        watcher.process.wait()


def rows(folder: Path) -> list[dict[str, Any]]:
    """Each line whole, whenever they are read."""
    path = folder / "out.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True)] if path.exists() else []


def paths(folder: Path) -> list[str]:
    return sorted(row["path"] for row in rows(folder))


def test_nothing_is_lost_and_nothing_comes_twice(folder: Path, checkpoint: Path) -> None:
    to_a_file = ("-o", "out.jsonl")
    with watching(folder, checkpoint, *to_a_file, limit="ulimit -f 2;") as full:  # a journal of 2 KB, then no more
        assert full.process.wait(60) == 1
        assert "cannot write out.jsonl.journal: File too large; what was done is kept" in full.said_in.read_text()
        begun = len(rows(folder))
        assert begun < 4
    with watching(folder, checkpoint, *to_a_file) as killed:
        killed.until(lambda: len(rows(folder)) == 4)
        render_text(folder / "in" / "text.mp4")
        render_clip(folder / "new.mp4", frames=30).rename(folder / "in" / "sub" / "new.mp4")
        killed.until(lambda: len(rows(folder)) == 5 and len(killed.events("failed")) == 1)
        metrics = killed.metrics()
        assert (
            f"captioner_captioned_total {5.0 - begun}" in metrics and f"captioner_known_total {float(begun)}" in metrics
        )
        assert 'captioner_failed_total{code="no_video"} 1.0' in metrics and "captioner_waiting 0.0" in metrics
        assert f"captioner_clip_seconds_count {6.0 - begun}" in metrics
        assert killed.events("status")[0]["waiting"] >= 0
        assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    written = (folder / "out.jsonl").read_bytes()
    (folder / "out.jsonl").write_bytes(written[:-40])  # the last row was lost with the process
    (folder / "in" / "0.mp4").rename(folder / "in" / "sub" / "renamed.mp4")
    (folder / "in" / "1.mp4").unlink()
    with watching(folder, checkpoint, *to_a_file) as stopped:
        stopped.until(lambda: (folder / "out.jsonl").stat().st_size > len(written))  # all rows, and the renamed one's
        assert len(rows(folder)) == 6
        assert (folder / "out.jsonl").read_bytes().startswith(written[: written[:-1].rindex(b"\n") + 1])
        (folder / "in").rename(folder / "away")
        stopped.until(lambda: any("gone" in event["message"] for event in stopped.events("note")))
        render_clip(folder / "away" / "1.mp4", frames=40)  # another clip of that name
        (folder / "away").rename(folder / "in")
        stopped.until(lambda: len(rows(folder)) == 7)
        assert stopped.end(signal.SIGTERM) == 130
        [end] = stopped.events("end")
        assert end["ended"] == "stopped" and end["captioned"] == 1 and end["codes"] == {"no_video": 1}
    names = [f"in/{name}.mp4" for name in ("0", "1", "1", "2", "3", "sub/new", "sub/renamed")]
    assert paths(folder) == names
    by_path = {row["path"]: row | {"path": ""} for row in rows(folder)}
    assert by_path["in/0.mp4"] == by_path["in/sub/renamed.mp4"]  # by its content, not captioned again
    ledger = [json.loads(line) for line in (folder / "out.jsonl.failures.jsonl").read_text().splitlines()]
    assert [(row["path"], row["code"]) for row in ledger] == [("in/text.mp4", "no_video")]


def test_one_file_a_video_beside_it(folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    def come_and_stop() -> None:
        end = time.monotonic() + 60
        while not (folder / "in" / "3.vtt").exists() and time.monotonic() < end:
            time.sleep(0.02)
        render_clip(folder / "in" / "sub" / "new.mp4", frames=30)
        while not (folder / "in" / "sub" / "new.vtt").exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    stopper = threading.Thread(target=come_and_stop)
    stopper.start()
    command = ["caption", "in", "-r", "--watch", "--settle", "0.1", "--jobs", "1", "-m", str(checkpoint)]
    assert main([*command, "--sidecar", "-f", "vtt", "-q"]) == 130
    stopper.join()
    assert (folder / "in" / "sub" / "new.vtt").read_text().startswith("WEBVTT")
    assert (folder / "in" / "captioner.journal").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["in"], 2, "--watch needs -o FILE"),
        (["in", "-o", "a.csv"], 2, "give -f jsonl"),
        (["in/0.mp4", "-o", "a.jsonl"], 1, "in/0.mp4 is not a folder"),
        (["gone", "-o", "a.jsonl"], 1, "gone is not a folder"),
        (["@list", "-o", "a.jsonl"], 2, "@list is none"),
        (["memory://in", "-o", "a.jsonl"], 2, "memory://in is none"),
        (["in", "-o", "/dev/null", "-f", "jsonl"], 2, "/dev/null is none"),
        (["in", "-o", "a.jsonl", "--engine", "ray"], 2, "leave --engine ray out"),
        (["in", "-o", "a.jsonl", "--dry-run"], 2, "leave --dry-run out"),
        (["in", "-o", "a.jsonl", "--settle", "-1"], 2, "--settle is -1.0"),
        (["in", "-o", "a.jsonl", "--shard", "3/2"], 2, "I/N"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path,
    arguments: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main(["caption", *arguments, "--watch"]) == status
    assert said in (err := capsys.readouterr().err) and err.count("\n") == 1
    assert not list(folder.glob("a.*"))
