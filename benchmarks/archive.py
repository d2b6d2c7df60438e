"""How much faster is a batch run than a loop over ``Captioner.caption``, and does its memory stay flat?

    python benchmarks/archive.py speed clips/*.mp4           # interleaved rounds, ratios
    python benchmarks/archive.py memory clips/*.mp4          # the list ten times over under ten names
    python benchmarks/archive.py everything clips/*.mp4      # all of them and 30 broken files in one run
    python benchmarks/archive.py store clips/*.mp4           # from an S3 server on this machine against from disk

Times of a busy machine say little: the processor time of each way is printed too, and the load.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.cluster import Ran, quarters, run
from captioner import Captioner, VideoError
from captioner.archive.engine import Settings, Task, caption_tasks
from captioner.archive.fetched import Fetching, caption_fetched
from captioner.archive.pool import DecodePool
from captioner.archive.run import Archive
from captioner.errors import counted
from captioner.io.inputs import Item, find_inputs
from captioner.io.stores import Stores

ROOT = Path(__file__).resolve().parents[1]


def loop(captioner: Captioner, paths: Sequence[str], threads: int) -> None:
    torch.set_num_threads(threads)
    for path in paths:
        try:
            captioner.caption(path)
        except VideoError as error:
            print(path, error)


def batch(captioner: Captioner, paths: Sequence[str], pool: DecodePool) -> None:
    torch.set_num_threads(1)
    settings = Settings(video=captioner.video, search=captioner.search)
    tasks = (Task(index=i, item=Item(path=path)) for i, path in enumerate(paths))
    assert sum(1 for _ in caption_tasks(tasks, captioner, settings=settings, pool=pool)) == len(paths)


def processor_seconds() -> float:
    """Of this process and its children, those that are running too, without an S3 server."""
    me = psutil.Process()
    others = (child for child in me.children() if not any("s3_server" in part for part in child.cmdline()))
    times = [process.cpu_times() for process in (me, *others)]
    return sum(each.user + each.system for each in times)


Seconds = dict[str, list[float]]


def alternate(ways: Mapping[str, Callable[[], None]], rounds: int, *, clips: int) -> tuple[Seconds, Seconds]:
    """Seconds by the clock, and of processor time, of each way in each round; the order turns round every time."""
    wall: Seconds = {name: [] for name in ways}
    work: Seconds = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            began, used = time.perf_counter(), processor_seconds()
            ways[name]()
            wall[name].append(time.perf_counter() - began)
            work[name].append(processor_seconds() - used)
            told = f"{clips / wall[name][-1]:6.2f} clips/s  {work[name][-1]:6.1f} s of processor"
            print(f"round {number + 1}  {name:16} {told}  load {os.getloadavg()[0]:.1f}", flush=True)
    return wall, work


def speed(paths: Sequence[str], rounds: int, threads: Sequence[int]) -> None:
    captioner = Captioner.load()
    with DecodePool(workers=2) as pool:
        ways: dict[str, Callable[[], None]] = {
            f"loop, {counted(count, 'thread')}": partial(loop, captioner, paths, count) for count in threads
        }
        ways["batch run"] = lambda: batch(captioner, paths, pool)
        batch(captioner, paths[:4], pool)
        loop(captioner, paths[:2], 1)
        wall, work = alternate(ways, rounds, clips=len(paths))
    base = [name for name in ways if name != "batch run"]
    for name in base:
        ratios = [a / b for a, b in zip(wall[name], wall["batch run"], strict=True)]
        saved = [a / b for a, b in zip(work[name], work["batch run"], strict=True)]
        print(
            f"batch run / {name}: {median(ratios):.2f} x in time ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"{median(saved):.2f} x in processor time"
        )


def store(paths: Sequence[str], rounds: int) -> None:
    """The same clips from disk and from S3; the server's own processor time is not counted."""
    from tests.s3_server import s3_server

    captioner = Captioner.load()
    torch.set_num_threads(1)
    settings = Settings(video=captioner.video, search=captioner.search)
    with s3_server() as s3, tempfile.TemporaryDirectory() as folder, DecodePool(workers=2) as pool:
        os.environ.update(s3.environment)
        for number, path in enumerate(paths):
            shutil.copyfile(path, Path(folder) / f"{number:05}{Path(path).suffix}")
        s3.fill("clips", {path.name: path for path in sorted(Path(folder).iterdir())})

        def caption(source: str) -> None:
            stores = Stores()
            items = find_inputs([source], stores=stores).items
            archive = Archive(items, settings=settings, model="", stores=stores)
            fetching = Fetching(stores=stores)
            outcomes = archive.outcomes(
                lambda tasks: caption_fetched(tasks, captioner, settings=settings, pool=pool, fetching=fetching)
            )
            assert sum(bool(outcome.captions) for outcome in outcomes) == len(paths)

        caption(f"{folder}/")
        ways = {"disk": partial(caption, f"{folder}/"), "store": partial(caption, "s3://clips/")}
        wall, work = alternate(ways, rounds, clips=len(paths))
    for what, spent in (("time", wall), ("processor time", work)):
        ratios = [a / b for a, b in zip(spent["store"], spent["disk"], strict=True)]
        print(f"store / disk in {what}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def show(ran: Ran) -> None:
    print(f"MB at most in each quarter of the run: {quarters(ran.main_mb)}; exit status {ran.status}")
    print(f"and of the largest decoding process: {quarters(ran.largest_mb)}")


def memory(paths: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for copy in range(10):
            for number, path in enumerate(paths):
                name = Path(folder) / f"{copy}-{number}{Path(path).suffix}"
                shutil.copyfile(path, name)
                os.utime(name, (0, 1000 * copy + number))  # as the same content it would be captioned only once
                names.append(str(name))
        listed = Path(folder) / "list"
        listed.write_text("\n".join(names))
        out = Path(folder) / "out.jsonl"
        ran = run([f"@{listed}", "-o", str(out)], Path(f"{out}.journal"))
        print(f"{len(names)} names of {len(paths)} clips")
        show(ran)


def everything(paths: Sequence[str], out: Path) -> None:
    from tests.broken import broken_files

    out.mkdir(parents=True, exist_ok=True)
    broken = broken_files(out / "broken")
    listed = out / "list"
    half = len(paths) // 2
    named = [*paths[:half], *map(str, broken), *paths[half:]]
    listed.write_bytes(b"\0".join(map(os.fsencode, named)))
    ran = run(["--null", f"@{listed}", "-o", str(out / "out.jsonl")], out / "out.jsonl.journal")
    rows = [json.loads(line) for line in (out / "out.jsonl").read_text().splitlines()]
    ledger = [json.loads(line) for line in (out / "out.jsonl.failures.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == list(paths), "rows are not those of the clips, in order"
    assert [entry["path"] for entry in ledger] == [str(path) for path in broken], "the ledger is not that of the broken"
    print(f"{len(rows)} rows, {len(ledger)} ledger entries")
    show(ran)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "memory", "everything", "store"))
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the loop")
    parser.add_argument("--out", type=Path, default=Path("work/archive"))
    options = parser.parse_args()
    if options.what == "speed":
        speed(options.paths, options.rounds, options.threads)
    elif options.what == "store":
        store(options.paths, options.rounds)
    elif options.what == "memory":
        memory(options.paths)
    else:
        everything(options.paths, options.out)


if __name__ == "__main__":
    main()
