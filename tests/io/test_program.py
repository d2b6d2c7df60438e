"""How every program here ends: stopped, without a reader, without memory, without a folder, on a full disk."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from captioner.errors import CaptionerError, UsageError
from captioner.io import platform, program
from captioner.io.program import run_program

ROOT = Path(__file__).parents[2]
START = f"import os, signal, sys; sys.path.insert(0, {str(ROOT)!r})\nfrom captioner.io.program import run_program\n"
ENDING = "\nimport argparse; sys.exit(run_program('tool', lambda: argparse.Namespace(run=run), lasting=True))\n"


def end(error: BaseException) -> int:
    def run(options: argparse.Namespace) -> int:
        raise error

    return run_program("tool", lambda: argparse.Namespace(run=run), lasting=False)


def python(code: str, *, folder: Path, shell: str = 'exec "$0" -P -c "$1"') -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", shell, sys.executable, START + code + ENDING],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (CaptionerError("a is wrong"), 1, "a is wrong"),
        (UsageError("-x excludes -y"), 2, "-x excludes -y"),
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(28, "No space left on device", "out/a.csv"), 1, "out/a.csv: No space left on device"),
        (ImportError("No module named 'torch'", name="torch"), 1, "torch cannot be imported: No module named 'torch'"),
        (ImportError("libtorch.so: failed to map segment from shared object"), 1, "there is not enough memory"),
        (MemoryError(), 1, "there is not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 1, "there is not enough memory"),
        (RuntimeError("can't start new thread"), 1, "there is not enough memory"),
        (OSError(12, "Cannot allocate memory"), 1, "there is not enough memory"),
    ],
)
def test_each_end_is_one_line(error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert end(error) == status
    line = capsys.readouterr().err
    assert line.startswith(f"tool: {said}") and line.count("\n") == 1


def test_a_library_that_ran_out_of_memory_is_told_by_how_much_was_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="a fault of ours"):
        end(ValueError("a fault of ours"))
    monkeypatch.setattr(program, "allowed_bytes", lambda: 600 * 2**20)
    monkeypatch.setattr(program, "peak_bytes", lambda: 590 * 2**20)
    assert end(ValueError("failed to serialise")) == 1
    assert "not enough memory (`ulimit -v` allows 600 MB)" in capsys.readouterr().err
    options = argparse.Namespace(run=lambda options: 0, least_bytes=2**30)
    assert run_program("tool", lambda: options, lasting=False) == 1
    assert "allows 600 MB, and torch with a model takes 1,024 MB" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of Unix")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_heard_even_where_an_import_passes_over_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(
        "import os, signal, time\ntry:\n    os.kill(os.getpid(), signal."
        f"{name})\n    time.sleep(0.2)\nexcept BaseException:\n    pass\n"
    )
    code = "def run(options):\n    sys.path.insert(0, '.'); import deaf\n    signal.pause()\n"
    done = python(code, folder=tmp_path)
    assert (done.returncode, done.stderr) == (130, "tool: stopped\n")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of Unix")
def test_what_clears_up_is_not_disturbed_by_more_signals_and_nohup_holds(tmp_path: Path) -> None:
    code = (
        "def run(options):\n    try:\n        os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n    finally:\n"
        "        os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT); print('cleared up')\n"
    )
    done = python(code, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleared up\n", "tool: stopped\n")
    code = "def run(options):\n    os.kill(os.getpid(), signal.SIGHUP)\n    return 0\n"
    done = python(code, folder=tmp_path, shell='trap "" HUP; exec "$0" -P -c "$1"')
    assert (done.returncode, done.stderr) == (0, "")
    code = "import atexit\ndef run(options):\n    atexit.register(os.kill, os.getpid(), signal.SIGTERM)\n    return 7\n"
    assert python(code, folder=tmp_path).returncode == 7, "its work was done"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_reader_that_leaves_and_a_full_disk(tmp_path: Path) -> None:
    many = "def run(options):\n    print('x' * 100000)\n    return 0\n"
    done = python(many, folder=tmp_path, shell='set -o pipefail; "$0" -P -c "$1" | true')
    assert (done.returncode, done.stderr) == (1, "")
    for code in (many, many.replace("100000", "1"), "def run(options):\n    raise SystemExit(print('x'))\n"):
        done = python(code, folder=tmp_path, shell='exec "$0" -P -c "$1" > /dev/full')
        assert done.returncode == 1 and done.stderr.startswith("tool: cannot write to stdout")
        assert done.stderr.endswith(": No space left on device\n") and done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a current folder cannot be deleted there")
def test_a_current_folder_that_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gone").mkdir()
    here = Path.cwd()
    try:
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        options = argparse.Namespace(run=lambda options: 0)
        assert run_program("tool", lambda: options, lasting=False) == 1
    finally:
        os.chdir(here)
    assert "it was deleted or moved; cd to another one" in capsys.readouterr().err


def test_every_program_ends_this_way() -> None:
    """So that a new one does not catch for itself what all must answer alike."""
    doors = [
        ROOT / "app.py",
        *ROOT.glob("*/__main__.py"),
        ROOT / "captioner/cli.py",
        *ROOT.glob("captioner/*/__main__.py"),
    ]
    own: Callable[[str], bool] = lambda text: "KeyboardInterrupt" in text or "run_program" not in text  # noqa: E731
    wrong = [door.name for door in doors if own(door.read_text(encoding="utf-8"))]
    assert wrong == ["__main__.py"], "python -m captioner is the command `captioner`; each other one asks run_program"


def test_limits_are_known() -> None:
    assert platform.allowed_bytes() is None or platform.allowed_bytes() > 0  # type: ignore[operator]
    assert platform.peak_bytes() >= 0
