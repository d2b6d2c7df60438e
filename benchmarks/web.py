"""How long a visitor waits, what many of them cost, and how soon a long film answers and stops.

    python benchmarks/web.py [--rounds N] [--visitors N ...] [--no-film]

Upload to caption goes through a real server and gradio_client on this machine, interleaved with the package's own
``caption`` of the same file: the ratio is what the web costs. On a busy machine look at the processor time.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from tests.media import frame_pixels, render_clip
from tests.web import served


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--visitors", type=int, nargs="+", default=[16], help="at once (default: 16)")
    parser.add_argument("--no-film", action="store_true", help="leave the twenty minutes out")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    import app
    from captioner import Captioner
    from demo.limits import Limits

    limits = Limits()
    captioner = Captioner.load()
    with (
        tempfile.TemporaryDirectory() as folder,
        served(app.build_app(captioner, limits=limits), limits) as address,
    ):
        clip = render_clip(
            Path(folder) / "clip.mp4", rate=30, size=(1280, 720), gop=60, images=_pictures(300, (1280, 720))
        )
        print(f"clip: 10 s, 1280 x 720, {clip.stat().st_size / 1e6:.1f} MB")
        one_visitor(address, captioner, clip, rounds=options.rounds)
        for visitors in options.visitors:
            many(address, clip, visitors=visitors)
        if options.no_film:
            return
        film = render_clip(
            Path(folder) / "film.mp4", rate=10, size=(320, 180), gop=50, images=_pictures(12_000, (320, 180))
        )
        long_film(address, film)


def _pictures(count: int, size: tuple[int, int]) -> Iterator[Any]:
    """Thirty different frames, over and over: drawing costs more than encoding."""
    drawn = [frame_pixels(number, size) for number in range(30)]
    return itertools.islice(itertools.cycle(drawn), count)


def one_visitor(address: str, captioner: Any, clip: Path, *, rounds: int) -> None:
    """Upload to caption, warm, against the package alone."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 60})
    web, alone = [], []
    for number in range(rounds + 2):
        started = time.perf_counter()
        client.predict(handle_file(str(clip)), api_name="/caption")
        middle = time.perf_counter()
        captioner.caption(clip)
        if number >= 2:  # the first two warm up
            web.append(middle - started)
            alone.append(time.perf_counter() - middle)
    print(
        f"upload to caption: median {statistics.median(web):.2f} s, fastest {min(web):.2f} s; the package alone "
        f"{statistics.median(alone):.2f} s, fastest {min(alone):.2f} s; ratio {min(web) / min(alone):.1f}"
    )


def many(address: str, clip: Path, *, visitors: int) -> None:
    """Several visitors at once."""
    from gradio_client import Client, handle_file

    clients = [
        Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 60}) for _ in range(visitors)
    ]
    before, worked = _resident_megabytes(), _processor_seconds()

    def visit(client: Any) -> float:
        started = time.perf_counter()
        assert client.predict(handle_file(str(clip)), api_name="/caption")["caption"]
        return time.perf_counter() - started

    with ThreadPoolExecutor(visitors) as pool:
        waits = sorted(pool.map(visit, clients))
    worked = _processor_seconds() - worked
    print(
        f"{visitors} at once: all served, the first after {waits[0]:.2f} s, the last after {waits[-1]:.2f} s; "
        f"{worked / visitors:.2f} s of processor time each, clients included; memory of this process {before:.0f} MB "
        f"before, {_resident_megabytes():.0f} MB after"
    )


def long_film(address: str, film: Path) -> None:
    """Twenty minutes by shots and in parts of ten seconds: the first answer, all of them, and a cancel."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 60})
    started, worked = time.perf_counter(), _processor_seconds()
    counts, times = [], []
    for state in client.submit(handle_file(str(film)), "fixed", 10, api_name="/timeline"):
        counts.append(len(state["captions"]))
        times.append(time.perf_counter() - started)
    print(
        f"twenty minutes in parts of 10 s: first answer after {times[0]:.1f} s, {counts[-1]} captions in "
        f"{len(counts)} answers after {times[-1]:.1f} s; {_processor_seconds() - worked:.1f} s of processor time"
    )
    job = client.submit(handle_file(str(film)), "shots", 10, api_name="/timeline")
    next(iter(job))
    started = time.perf_counter()
    job.cancel()
    client.predict(handle_file(str(film)), end_seconds=10, api_name="/caption")
    print(f"cancelled in the middle: the next caption came {time.perf_counter() - started:.1f} s later")


def _processor_seconds() -> float:
    """Of this process, with server and clients, and of its decoders."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def _resident_megabytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main()
