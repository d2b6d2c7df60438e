"""``captioner caption --watch`` as a process of its own: signals, kills, full disks and files that come and go."""

from __future__ import annotations

import contextlib
import errno
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

import fsspec
import pytest

from captioner.archive.engine import Failure, Outcome, Task
from captioner.cli import main
from captioner.commands.watched import latest
from captioner.io import store_arrivals
from captioner.io.arrivals import Wanted
from captioner.io.inputs import Item
from captioner.io.store_arrivals import StoreArrivals
from captioner.io.stores import Stores
from tests.media import render_clip, render_text

ROOT = Path(__file__).parents[2]


def watch(checkpoint: Path) -> list[str]:
    """The command."""
    return [
        *("caption", "in", "-r", "-m", str(checkpoint), "--watch", "-o", "out.jsonl", "--log-json"),
        *("--settle", "0.1", "--jobs", "1", "--metrics-port", "0"),
    ]


def as_event(line: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line) if line.startswith("{") else {"event": ""}
    return event


class Watcher:
    """The command as a process, and what it said so far."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self.said_in = folder / "said"
        with self.said_in.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "captioner", *watch(checkpoint)],
                cwd=folder,
                stderr=said,
                stdout=said,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            )

    def events(self, name: str) -> list[dict[str, Any]]:
        events = map(as_event, self.said_in.read_text().splitlines())
        return [event for event in events if event["event"] == name]

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
def watching(folder: Path, checkpoint: Path) -> Iterator[Watcher]:
    watcher = Watcher(folder, checkpoint)
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


def stopping(*steps: Callable[[], object], number: int = signal.SIGINT) -> threading.Thread:
    """A signal for this process once each step, one after the other, has come to something that is true."""

    def run() -> None:
        end = time.monotonic() + 60
        for step in steps:
            while not step() and time.monotonic() < end:
                time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_nothing_is_lost_and_nothing_comes_twice(
    folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    out, write = folder / "out.jsonl", os.write

    def full(file: int, data: bytes) -> int:
        if bytes(data).startswith(b'{"path"') and len(rows(folder)) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    with monkeypatch.context() as small:
        small.setattr(os, "write", full)
        assert main(watch(checkpoint)) == 1
    assert "cannot write out.jsonl: No space left on device; finished results are kept" in capsys.readouterr().err
    assert len(rows(folder)) == 2

    with watching(folder, checkpoint) as killed:
        killed.until(lambda: len(rows(folder)) == 4)
        render_text(folder / "in" / "text.mp4")
        render_clip(folder / "new.mp4", frames=30).rename(folder / "in" / "sub" / "new.mp4")
        killed.until(lambda: len(rows(folder)) == 5 and len(killed.events("failed")) == 1)
        metrics = killed.metrics()
        captioned, known = (
            int(metrics.split(f"\ncaptioner_{n}_total ")[1].split(".")[0]) for n in ("captioned", "known")
        )
        assert captioned + known == 5 and known >= 2  # what the full disk did not take was in the journal
        assert 'captioner_failed_total{code="no_video"} 1.0' in metrics and "captioner_waiting 0.0" in metrics
        assert f"captioner_clip_seconds_count {captioned + 1.0}" in metrics
        assert killed.events("status")[0]["waiting"] >= 0
        assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    written = out.read_bytes()
    out.write_bytes(written[:-40])  # the last row was lost with the process
    (folder / "in" / "0.mp4").rename(folder / "in" / "sub" / "renamed.mp4")
    (folder / "in" / "1.mp4").unlink()

    thread = stopping(
        lambda: out.stat().st_size > len(written),  # all rows, and the renamed one's
        lambda: (folder / "in").rename(folder / "away"),
        lambda: render_clip(folder / "away" / "1.mp4", frames=40),  # another clip of that name
        lambda: (folder / "away").rename(folder / "in"),
        lambda: len(rows(folder)) == 7,
        number=signal.SIGTERM,
    )
    assert main(watch(checkpoint)) == 130
    thread.join()
    assert out.read_bytes().startswith(written[: written[:-1].rindex(b"\n") + 1])
    [end] = [event for line in capsys.readouterr().err.splitlines() if (event := as_event(line))["event"] == "end"]
    assert end["ended"] == "stopped" and end["captioned"] == 1 and end["codes"] == {"no_video": 1}
    assert paths(folder) == [f"in/{name}.mp4" for name in ("0", "1", "1", "2", "3", "sub/new", "sub/renamed")]
    by_path = {row["path"]: row | {"path": ""} for row in rows(folder)}
    assert by_path["in/0.mp4"] == by_path["in/sub/renamed.mp4"]  # by its content, not captioned again
    ledger = [json.loads(line) for line in (folder / "out.jsonl.failures.jsonl").read_text().splitlines()]
    assert [(row["path"], row["code"]) for row in ledger] == [("in/text.mp4", "no_video")]


def test_one_file_a_video_beside_it(folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    new = folder / "in" / "sub" / "new"
    thread = stopping(
        (folder / "in" / "3.vtt").exists,
        lambda: render_clip(new.with_suffix(".mp4"), frames=30),
        new.with_suffix(".vtt").exists,
    )
    command = [argument for argument in watch(checkpoint) if argument not in ("-o", "out.jsonl")]
    assert main([*command, "--sidecar", "-f", "vtt", "-q"]) == 130
    thread.join()
    assert new.with_suffix(".vtt").read_text().startswith("WEBVTT")
    assert (folder / "in" / "captioner.journal").exists()


def test_objects_of_a_store(folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_arrivals, "_LIST_SECONDS", 0.1)
    monkeypatch.chdir(folder)
    store = fsspec.filesystem("memory")
    store.put("in/0.mp4", "/watched/0.mp4")
    thread = stopping(
        lambda: len(rows(folder)) == 1,
        lambda: store.put("in/1.mp4", "/watched/deep/1.mp4") is None,
        lambda: len(rows(folder)) == 2,
    )
    command = ["memory://watched" if argument == "in" else argument for argument in watch(checkpoint)]
    assert main([*command, "-q"]) == 130
    thread.join()
    assert paths(folder) == ["memory://watched/0.mp4", "memory://watched/deep/1.mp4"]


def test_what_a_file_was_does_not_come_after_what_it_is(tmp_path: Path) -> None:
    there = tmp_path / "there.mp4"
    there.touch()
    source = StoreArrivals(["memory://x/"], Stores(), Wanted())
    gone = Failure(code="not_found", message="it is not there")
    outcomes = [
        *(Outcome(task=Task(index=n, item=Item(path=str(there)))) for n in (1, 4, 2, 5)),
        *(Outcome(task=Task(index=n, item=Item(path=name)), failure=gone) for n, name in ((6, "a"), (7, str(there)))),
    ]
    assert [outcome.task.index for outcome in latest(outcomes, source)] == [1, 4, 5, 7]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["in"], 2, "--watch needs -o FILE"),
        (["in", "-o", "a.csv"], 2, "give -f jsonl"),
        (["in/0.mp4", "-o", "a.jsonl"], 1, "in/0.mp4 is not a folder"),
        (["gone", "-o", "a.jsonl"], 1, "gone is not a folder"),
        (["@list", "-o", "a.jsonl"], 2, "@list is not one"),
        (["https://host/in/", "-o", "a.jsonl"], 2, "https://host/in/ is not one"),
        (["in", "-o", "/dev/null", "-f", "jsonl"], 2, "/dev/null is not one"),
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
