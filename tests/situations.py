"""Commands in bad situations, drawn by chance: none shows a traceback, ends oddly, or touches a file that was there.

    python -m tests.situations --seed 0                    # an hour, the nightly run
    python -m tests.situations --seed 0 --seconds 300
    python -m tests.situations --seed 0 --only 17          # one situation again, with all that it said

A situation is a command and one to three hazards: a signal, a limit, a full disk, a locale, a broken environment, a
closed stream. It depends on the seed and its number alone. Exit status 0 if nothing was found.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from captioner.io.program import EXIT
from tests.world import BY_HAND, COMMANDS, make_world

ROOT = Path(__file__).resolve().parents[1]
NAMED = {int(status) for status in re.findall(r"\b\d+\b", EXIT)}
"""The exit statuses that ``--help`` names."""
HANGS_SECONDS = 300
TORN = re.compile(
    r"Traceback \(most recent|Fatal Python error|FATAL ERROR|Segmentation fault|terminate called|Exception ignored"
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LIMITS = (
    ("RLIMIT_AS", (300 << 20, 600 << 20, 1 << 30, 1200 << 20, 2 << 30, 4 << 30)),
    ("RLIMIT_NOFILE", (5, 8, 12, 20, 40, 64)),
    ("RLIMIT_FSIZE", (0, 1, 512, 4096, 65536, 1 << 20)),
)
_LOCALES = ("C", "POSIX", "C.UTF-8", "tr_TR.UTF-8", "zh_CN.GB18030", "xx_YY", "")
_ENVIRONMENTS: tuple[dict[str, str | None], ...] = (
    {"HOME": None},
    {"HOME": "/nonexistent", "XDG_CACHE_HOME": None},
    {"TMPDIR": "/nonexistent"},
    {"PATH": ""},
    {"TERM": "nonsense", "COLUMNS": "0", "LINES": "-1"},
    {"TZ": "Nowhere/Atlantis"},
    {"OMP_NUM_THREADS": "0"},
    {"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "-3"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    {"XDG_CACHE_HOME": "/dev/null", "HF_HOME": "/dev/null"},
    {"NO_COLOR": "1", "FORCE_COLOR": "1"},
    {"HF_HUB_OFFLINE": "no", "CUDA_VISIBLE_DEVICES": "7"},
    {"SOURCE_DATE_EPOCH": "yesterday"},
    {"PYTHONWARNINGS": "error"},
)


@dataclass(frozen=True)
class Situation:
    """A command, and what is wrong around it."""

    number: int
    command: tuple[str, ...]
    signal: signal.Signals | None = None
    """Sent this long after the command began to listen."""
    delay_seconds: float = 0.0
    under_nohup: bool = False
    limits: tuple[tuple[str, int], ...] = ()
    disk_bytes: int | None = None
    """What there is room for where it writes."""
    environment: dict[str, str | None] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    folder_gone: bool = False
    by_hand: bool = False
    """Whether files of the names that it would write are there already."""

    def __str__(self) -> str:
        wrong = [f"{name}={value}" for name, value in self.limits]
        wrong += [f"{self.signal.name} after {self.delay_seconds:.2f} s"] if self.signal else []
        wrong += ["under nohup"] * self.under_nohup + ["in a folder that is gone"] * self.folder_gone
        wrong += [f"disk of {self.disk_bytes} bytes"] if self.disk_bytes is not None else []
        wrong += [f"{name}={value!r}" for name, value in self.environment.items()]
        wrong += [*self.streams, *["files made by hand"] * self.by_hand]
        return f"situation {self.number}: {' '.join(self.command)} ({', '.join(wrong) or 'nothing wrong'})"


def draw(seed: int, number: int, *, commands: dict[str, str] = COMMANDS) -> Situation:
    """The situation of that number; ``commands``: templates by name."""
    chance = random.Random(f"{seed} {number}")
    command = tuple(commands[chance.choice(sorted(commands))].split())
    found: dict[str, object] = {"by_hand": chance.random() < 0.4}
    for hazard in chance.sample(
        ("signal", "limit", "disk", "locale", "environment", "streams", "folder"), k=chance.choice((1, 1, 1, 2, 3))
    ):
        if hazard == "signal":
            found |= {"signal": chance.choice(_SIGNALS), "delay_seconds": chance.expovariate(1 / 2)}
            found["under_nohup"] = chance.random() < 0.15
        elif hazard == "limit":
            name, values = chance.choice(_LIMITS)
            found["limits"] = ((name, chance.choice(values)),)
        elif hazard == "disk":
            found["disk_bytes"] = chance.choice((4096, 16384, 65536, 1 << 20))
        elif hazard == "locale":
            found["environment"] = {"LC_ALL": chance.choice(_LOCALES), "LANG": chance.choice(_LOCALES)}
        elif hazard == "environment":
            found["environment"] = chance.choice(_ENVIRONMENTS)
        elif hazard == "streams":
            found["streams"] = (
                chance.choice(("no stdin", "no stdout", "no stderr", "full stdout", "head", "no reader")),
            )
        else:
            found["folder_gone"] = True
    return Situation(number, command, **found)  # type: ignore[arg-type]


def digests(*folders: Path) -> dict[Path, tuple[int, str]]:
    """When each file below was written, and what it holds."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


@contextlib.contextmanager
def disk(folder: Path, size: int | None) -> Iterator[bool]:
    """A small file system at ``folder``, where one may be mounted; tells whether there is one."""
    mounted = (
        size is not None
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, check=False
        ).returncode
        == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@dataclass(frozen=True)
class End:
    """How a command ended."""

    status: int | None
    """None: it hung, and was killed."""
    said: str
    errors: str


def end_of(situation: Situation, kept: Path, out: Path, *, sizes: bool) -> End:
    """Run it; ``sizes``: limit the size of files instead of the disk's."""
    command = [part.format(kept=kept, out=out) for part in situation.command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name, value in situation.environment.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        tempfile.TemporaryFile("w+", errors="replace") as said,
    ):
        full = Path("/dev/full").open("w") if "full stdout" in situation.streams else None  # noqa: SIM115
        piped = bool({"head", "no reader"} & set(situation.streams))
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            cwd=kept.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else full or said,
            stderr=errors,
            preexec_fn=_preparation(situation, sizes=sizes),
        )
        if full:
            full.close()
        try:
            if child.stdout:
                if "head" in situation.streams:
                    os.read(child.stdout.fileno(), 8)
                child.stdout.close()
            if situation.signal and _listens(child):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(situation.delay_seconds)
                if situation.under_nohup or _catches(child, situation.signal):  # not in the interpreter's last moments
                    child.send_signal(situation.signal)
            status: int | None = child.wait(HANGS_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            child.kill()
            child.wait()
        said.seek(0)
        errors.seek(0)
        return End(status, said.read(), errors.read())


def _preparation(situation: Situation, *, sizes: bool) -> Callable[[], None]:
    """What happens in the child before the command begins."""
    import resource

    gone = tempfile.mkdtemp(prefix="captioner-gone-") if situation.folder_gone else ""
    limits = [(getattr(resource, name), value) for name, value in situation.limits]
    if sizes and situation.disk_bytes is not None:
        limits.append((resource.RLIMIT_FSIZE, situation.disk_bytes))
    closed = [number for number, name in enumerate(("stdin", "stdout", "stderr")) if f"no {name}" in situation.streams]

    def prepare() -> None:
        if gone:
            os.chdir(gone)
            Path(gone).rmdir()
        if situation.under_nohup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in closed:
            os.close(number)
        for limit, value in limits:
            resource.setrlimit(limit, (value, value))

    return prepare


def _listens(child: subprocess.Popen[bytes]) -> bool:
    """Wait until the command itself catches signals, not the interpreter; False if it has ended."""
    while child.poll() is None:
        if _catches(child, signal.SIGTERM):
            return True
        time.sleep(0.01)
    return False


def _catches(child: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    with contextlib.suppress(OSError):
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{child.pid}/status").read_text())
        return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)
    return False


def faults(situation: Situation, end: End, *, before: dict, after: dict, left: Iterable[Path]) -> list[str]:  # type: ignore[type-arg]
    """What must not be."""
    found = []
    if end.status is None:
        found.append(f"still ran after {HANGS_SECONDS} seconds")
    elif end.status not in NAMED:
        found.append(f"exit status {end.status}")
    if torn := TORN.search(end.errors + end.said):
        found.append(torn[0])
    unheard = {"no stderr", "head", "no reader"}  # who reads no further is told nothing
    if end.status == 1 and not end.errors.strip() and not unheard & set(situation.streams):
        found.append("failed without a word")
    if situation.under_nohup and situation.signal == signal.SIGHUP and end.status == 130:
        found.append("stopped by SIGHUP under nohup")
    found += [
        f"{'changed' if path in after else 'removed'} {path}" for path in before if after.get(path) != before[path]
    ]
    found += [f"left {path}" for path in left if path not in before]
    return found


def try_one(situation: Situation, folder: Path, *, talk: bool = False) -> list[str]:
    """Run one situation in a world made by ``make_world``."""
    kept, out = folder / "kept", folder / f"out-{situation.number}"
    out.mkdir()
    with disk(out, situation.disk_bytes) as mounted:
        if situation.by_hand:
            for name in BY_HAND:
                with contextlib.suppress(OSError):  # the disk may be that small
                    (out / name).write_text("by hand\n")
        before = digests(kept, out)
        end = end_of(situation, kept, out, sizes=not mounted)
        left = [path for path in out.rglob("*") if path.name.startswith(".") or path.suffix in (".part", ".tmp")]
        found = faults(situation, end, before=before, after=digests(kept, out), left=left)
    shutil.rmtree(out)
    if talk:
        print(end.said, end.errors, f"exit status {end.status}", sep="\n")
    return [f"{situation}: {fault}\n    {' | '.join(end.errors.strip().splitlines()[-3:])}" for fault in found]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--only", type=int, help="the number of one situation")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="captioner-situations-"))
    make_world(folder / "kept")
    end, number, findings = time.monotonic() + options.seconds, 0, 0
    while time.monotonic() < end:
        situation = draw(options.seed, number if options.only is None else options.only)
        for finding in try_one(situation, folder, talk=options.only is not None):
            findings += 1
            print(finding, flush=True)
        number += 1
        if options.only is not None:
            break
    shutil.rmtree(folder)
    print(f"{number} situations of seed {options.seed}, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
