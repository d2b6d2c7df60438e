"""The other systems' branches, by simulation: what Windows or macOS lack is taken away, what they have put in place.

Neither system was run. What is simulated: no fcntl, msvcrt's locks, no prctl, no mallopt, SIGBREAK, a console of
cp1252, line ends of Windows, names with drive letters, a module in the working folder that shadows another.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from captioner.errors import CaptionerError
from captioner.io import platform
from captioner.io.lock import FolderLock
from captioner.io.signals import terminable
from tests.media import render_clip

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("captioner", "data", "demo", "eval")
ELSEWHERE = """
import sys, types, ctypes, warnings
warnings.filterwarnings("error", category=EncodingWarning, module=r"captioner\\.|data\\.|eval\\.")
import torch, numpy, av, captioner.cli, captioner.io.platform
class Lacking(types.SimpleNamespace):
    def __getattr__(self, name):
        return getattr(sys, name)
captioner.io.platform.sys = Lacking(platform="win32")
sys.modules["fcntl"] = None
class NoLibrary:
    def __init__(self, name):
        raise OSError("no such library")
ctypes.CDLL = NoLibrary
held = []
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK = 2
def locking(file, mode, size):
    import os
    key = os.fstat(file).st_ino
    if key in held:
        raise PermissionError(13, "Permission denied")
    held.append(key)
msvcrt.locking = locking
sys.modules["msvcrt"] = msvcrt
sys.exit(captioner.cli.main(sys.argv[1:]))
"""


def elsewhere(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """The command line as another system would have it."""
    settings = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "warn_default_encoding", "-c", ELSEWHERE, *arguments]
    return subprocess.run(command, cwd=cwd, env=os.environ | settings, capture_output=True)


def test_many_files_with_another_systems_locks_console_and_names(checkpoint: Path, tmp_path: Path) -> None:
    """A list with the line ends and the byte order mark of Windows, names with a drive letter and in Japanese."""
    names = ["C:\\clips\\a b.mp4", "東京 🗼.mp4"]
    for name in names:
        render_clip(tmp_path / name, frames=8)
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*names, "missing.mp4", ""]).encode())
    done = elsewhere("caption", "@list.txt", "-m", str(checkpoint), "-o", "out.jsonl", cwd=tmp_path)
    said = done.stderr.decode("cp1252")
    assert done.returncode == 1 and "missing.mp4" in said and "Traceback" not in said, said
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["path"] for row in rows][:2] == names and all(row["caption"] for row in rows[:2])
    assert b"\r" not in (tmp_path / "out.jsonl").read_bytes()
    again = elsewhere("caption", *names, "-m", str(checkpoint), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.decode("utf-8").count("mp4: ") == 2  # captions are UTF-8 wherever they go
    lost = elsewhere("info", "東京.safetensors", cwd=tmp_path)  # an error names what cp1252 lacks, as an escape
    assert lost.returncode == 1 and b"\\u6771\\u4eac" in lost.stderr, lost.stderr


def test_msvcrts_lock_keeps_a_second_run_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    held: set[int] = set()
    msvcrt = ModuleType("msvcrt")

    def locking(file: int, mode: int, size: int) -> None:
        assert os.lseek(file, 0, os.SEEK_CUR) > 1 << 30  # far behind what others read
        if os.fstat(file).st_ino in held:
            raise PermissionError(13, "Permission denied")
        held.add(os.fstat(file).st_ino)

    msvcrt.LK_NBLCK, msvcrt.locking = 2, locking  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr(platform, "sys", _Windows())
    with FolderLock(tmp_path), pytest.raises(CaptionerError, match=r"another run .*is writing"):
        FolderLock(tmp_path)
    assert json.loads((tmp_path / "run.lock").read_text(encoding="utf-8"))["pid"] == os.getpid()


class _Windows:
    platform = "win32"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="stands in for Ctrl-Break where there is this signal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGBREAK"])
def test_ctrl_break_and_sigterm_stop_as_ctrl_c_does(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR2, raising=False)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR2)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), getattr(signal, name))
        signal.pause()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR2)) == before


def test_where_there_is_no_prctl_a_child_ends_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "sys", _Windows())
    platform.die_with_parent()
    assert platform.keep_freed_memory() is False
    assert set(platform.apart()) == {"creationflags"}
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import captioner.archive.decoder_process as w; "
    code += "w.die_with_parent = lambda: None; w.serve()"
    child = subprocess.Popen([sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout
    assert child.stdout.read(8)  # it is ready
    child.stdin.close()
    assert child.wait(30) == 0
    child.stdout.close()


def test_a_module_in_the_working_folder_shadows_nothing(checkpoint: Path, tmp_path: Path) -> None:
    """The decoding child imports from where the package is, never from where the user is."""
    for name in ("numpy.py", "av.py", "platform.py", "captioner.py"):
        (tmp_path / name).write_text("raise SystemExit('this is not the module')\n", encoding="utf-8")
    render_clip(tmp_path / "a.mp4", frames=8)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from captioner.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-P", "-c", code, "caption", "a.mp4", "a.mp4", "-m", str(checkpoint), "-f", "jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[0])["caption"], done.stderr


@pytest.mark.parametrize(
    "word", ["fcntl", "prctl", "msvcrt", "O_BINARY", "SIGTERM", "multiprocessing", "os.fork", "preexec_fn", "mallopt"]
)
def test_what_only_some_systems_have_is_in_one_module(word: str) -> None:
    """And no process is forked: every child is a fresh interpreter, so that spawning is what happens everywhere."""
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    used = re.compile(rf"^[^#\"]*\b{re.escape(word)}\b", re.MULTILINE)
    found = {path.name for path in sources if used.search(path.read_text(encoding="utf-8"))}
    assert found - {"program.py"} <= {"platform.py"}  # program.py names SIGTERM to the user


def test_streams_that_cannot_be_set_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.redirect_stdout(None):  # what pythonw has
        platform.say_anything()
