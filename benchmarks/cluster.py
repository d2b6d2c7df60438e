"""What does Ray cost beside local processes, does its memory stay flat, and what does an archive cost?

    python benchmarks/cluster.py ray clips/*.mp4 --jobs 2     # --engine ray against --jobs, both with so many cores
    python benchmarks/cluster.py memory --files 10000         # ten thousand small inputs through Ray
    python benchmarks/cluster.py cost clips/*.mp4 --price 0.04   # clips an hour and core; the price of a core-hour
    python benchmarks/cluster.py idle clips/*.mp4 --jobs 2    # how much of its cores a run leaves idle

Processor time is that of a command and all processes below it. Wall times of a busy machine say little: the load is
printed beside them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
EVERY_SECONDS = 0.2
START = 4
"""Rows after which a run counts as started."""


@dataclass(frozen=True)
class Ran:
    """What a command took."""

    seconds: float
    """From its first rows to its last."""
    processor_seconds: float
    """Of the whole command."""
    working_seconds: float
    """The part of them between its first rows and its last."""
    rows: int
    """Rows in that time."""
    main_mb: tuple[float, ...]
    """Private memory of the command, as it went on."""
    largest_mb: tuple[float, ...]
    """And of the largest process below it."""
    status: int
    """Exit status."""


def run(arguments: Sequence[str], journal: Path) -> Ran:
    """``captioner caption``, watched."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": "local"}
    command = [sys.executable, "-m", "captioner", "caption", *arguments, "-q"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    spent: dict[int, float] = {}
    began, before, first, rows = 0.0, 0.0, 0, 0
    main, largest = [], []
    seen = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            processes = [seen, *seen.children(recursive=True)]
        except psutil.Error:
            break
        sizes = []
        for one in processes:
            try:
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system
                sizes.append(one.memory_full_info().uss / 1e6)
            except psutil.Error:
                continue
        if journal.exists():
            rows = journal.read_bytes().count(b'\n{"key"')
        if rows >= START and not began:
            began, before, first = time.monotonic(), sum(spent.values()), rows
        main.append(sizes[0] if sizes else 0.0)
        largest.append(max(sizes[1:], default=0.0))
        time.sleep(EVERY_SECONDS)
    rows = journal.read_bytes().count(b'\n{"key"')
    total = sum(spent.values())
    return Ran(
        seconds=time.monotonic() - began,
        processor_seconds=total,
        working_seconds=total - before,
        rows=max(1, rows - first),
        main_mb=tuple(main),
        largest_mb=tuple(largest),
        status=process.returncode,
    )


def quarters(megabytes: Sequence[float]) -> str:
    """The most in each quarter of a run."""
    size = len(megabytes)
    most = [max(megabytes[size * k // 4 : max(1, size * (k + 1) // 4)]) for k in range(4)]
    return ", ".join(f"{mb:.0f}" for mb in most)


def ray(paths: Sequence[str], jobs: int) -> None:
    for engine in ("local", "ray", "local", "ray"):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "rows.jsonl"
            ran = run([*paths, "-o", str(out), "--engine", engine, "--jobs", str(jobs)], Path(f"{out}.journal"))
        print(
            f"{engine:5} {ran.rows / ran.seconds:6.2f} clips/s, {1000 * ran.working_seconds / ran.rows:4.0f} ms of "
            f"processor a clip, {ran.processor_seconds:5.1f} s with the start, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def memory(files: int, jobs: int) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.media import render_clip
    from tests.tiny import tiny_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        checkpoint = tiny_checkpoint(base / "tiny")
        clip = render_clip(base / "clip.mp4", frames=8, size=(32, 24)).read_bytes()
        inputs = base / "inputs"
        inputs.mkdir()
        for number in range(files):  # every tenth is a clip; of others a failure is told, which is quicker
            path = inputs / f"{number:06}.mp4"
            path.write_bytes(clip if number % 10 == 0 else b"no video\n" * 9)
            os.utime(path, (number, number))
        out = base / "rows.jsonl"
        options = ["-m", str(checkpoint), "--engine", "ray", "--jobs", str(jobs)]
        ran = run([str(inputs), "-o", str(out), *options], Path(f"{out}.journal"))
        assert ran.rows + START >= files - 64, f"{ran.rows} rows"
    for name, sizes in (("driver", ran.main_mb), ("largest process of Ray", ran.largest_mb)):
        print(f"{name}: at most {quarters(sizes)} MB in each quarter of {files} files")


def cost(paths: Sequence[str], price: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.jsonl"
        ran = run([*paths, "-o", str(out), "--jobs", "1"], Path(f"{out}.journal"))
    each = ran.working_seconds / ran.rows
    print(f"{ran.rows} clips, {each:.3f} s of processor each: {3600 / each:,.0f} clips an hour and core")
    print(f"a million clips take {1e6 * each / 3600:.0f} core-hours: {1e6 * each / 3600 * price:.2f} at {price} each")


def idle(paths: Sequence[str], jobs: int, cores: int) -> None:
    """Linux: how often fewer threads of a run want to run than it has cores; others' work does not count as idle."""
    wanted = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.jsonl"
        journal = Path(f"{out}.journal")
        command = [sys.executable, "-m", "captioner", "caption", *paths, "-o", str(out), "--jobs", str(jobs), "-q"]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
        last = len(paths) - START
        while process.poll() is None:
            rows = journal.read_bytes().count(b'\n{"key"') if journal.exists() else 0
            if START <= rows <= last:
                wanted.append(min(cores, runnable(process.pid)))
            time.sleep(EVERY_SECONDS / 4)
    share = 1 - sum(wanted) / len(wanted) / cores
    print(
        f"{jobs} jobs, {cores} cores: {100 * share:.0f} % idle in {len(wanted)} samples, load {os.getloadavg()[0]:.1f}"
    )


def runnable(pid: int) -> int:
    """How many threads of a process and of those below it run, or wait for a core."""
    count = 0
    for one in [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]:
        for stat in Path(f"/proc/{one}/task").glob("*/stat"):
            try:
                count += stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] == "R"
            except OSError:
                continue
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("ray", "memory", "cost", "idle"))
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cores", type=int, help="of the machine (default: as many as --jobs)")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--price", type=float, default=0.04, help="of a core-hour")
    options = parser.parse_args()
    if options.what == "ray":
        ray(options.paths, options.jobs)
    elif options.what == "memory":
        memory(options.files, options.jobs)
    elif options.what == "cost":
        cost(options.paths, options.price)
    else:
        idle(options.paths, options.jobs, options.cores or options.jobs)


if __name__ == "__main__":
    main()
