"""What a run says on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from captioner.io.progress import Monitor
from captioner.io.status import FILE
from captioner.safe.text import visible


class Terminal:
    """Takes stderr's place and says that it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def speak(monitor: Monitor) -> None:
    monitor.progress(settled=50, total=200, made=40, failed=2)
    monitor.failure("bad.mp4", "damaged", "bad.mp4 is damaged")
    monitor.warning("odd.mp4", "1 damaged frame left out")
    monitor.say("the end was repaired")
    monitor.end("198 captioned, 2 failed", captioned=198, failed=2)


def test_a_program_reads_how_far_a_quiet_run_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "progress.json"))
    monitor = Monitor(quiet=True)
    for settled in (50, 51):  # the second comes too soon
        monitor.progress(settled=settled, total=200, made=40, failed=2)
    told = json.loads((tmp_path / "progress.json").read_text())
    assert (told["text"], told["share"]) == ("50 of 200 files", 0.25) and told["seconds_left"] > 0


def test_nothing_moves_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    speak(Monitor())
    assert capsys.readouterr().err.splitlines() == [
        "captioner: bad.mp4 is damaged [damaged]",
        "captioner: odd.mp4: warning: 1 damaged frame left out",
        "captioner: the end was repaired",
        "captioner: 198 captioned, 2 failed in 0 s",
    ]
    Monitor().warning("film.mp4", "its frames are plain", seconds=68.2)
    assert capsys.readouterr().err == "captioner: film.mp4 at 1 min 08 s: warning: its frames are plain\n"
    speak(Monitor(quiet=True))
    assert capsys.readouterr().err == "captioner: bad.mp4 is damaged [damaged]\n"


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(variable, raising=False)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    speak(Monitor())
    assert "50/200 (25 %)" in terminal.text and "clips/s" in terminal.text and " left" in terminal.text
    assert "\x1b[31m2 failed\x1b[0m" in terminal.text
    terminal.text = ""
    monkeypatch.setenv("NO_COLOR", "1")
    speak(Monitor())
    assert "\x1b[31m" not in terminal.text and "2 failed" in terminal.text
    terminal.text = ""
    monkeypatch.setenv("TERM", "dumb")
    speak(Monitor())
    assert "\x1b" not in terminal.text and "\r" not in terminal.text


def test_json_lines_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    speak(Monitor(as_json=True, quiet=True))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [e["event"] for e in events] == ["progress", "failed", "warning", "note", "end"]
    assert events[1]["code"] == "damaged" and events[-1]["captioned"] == 198 and events[0]["total"] == 200


def test_a_name_cannot_give_the_terminal_orders() -> None:
    assert visible("a\x1b[2J\nb ü字.mp4") == "a\\x1b[2J\\nb ü字.mp4"


def test_how_far_a_long_film_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monitor = Monitor()
    monitor._began -= 60.0  # a minute ago
    monitor.position(600.0, start=0.0, end=2400.0)
    assert "10 min 00 s of 40 min 00 s (25 %), 3 min 00 s left" in terminal.text
