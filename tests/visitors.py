"""Many visitors of the page at once, who cancel by chance: memory stays flat, no process and no file is left.

python -m tests.visitors --visitors 30 --minutes 20
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

from tests.media import render_clip
from tests.tiny import tiny_checkpoint
from tests.web import served, shapes_clip


def visit(address: str, clips: list[Path], chance: random.Random, end: float, counts: Counter[str]) -> None:
    """Ask for captions and timelines until ``end``; give up some of them half way."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})
    while time.monotonic() < end:
        clip = handle_file(str(chance.choice(clips)))
        film = chance.random() < 0.3
        job = (
            client.submit(clip, "fixed", 0.5, api_name="/timeline")
            if film
            else client.submit(clip, api_name="/caption")
        )
        cancels = chance.random() < 0.4
        try:
            job.result(timeout=chance.expovariate(1) if cancels else 300)
            counts["answered"] += 1
        except TimeoutError:
            job.cancel()
            counts["cancelled" if cancels else "late"] += 1
        except Exception as error:
            counts[f"refused: {str(error)[:60]}"] += 1


def load(
    address: str, clips: list[Path], *, visitors: int, minutes: float, seed: int
) -> tuple[Counter[str], list[int]]:
    """What became of the requests, and the server's memory in MB, with its children's, twenty times on the way."""
    counts: Counter[str] = Counter()
    end = time.monotonic() + 60 * minutes
    threads = [
        threading.Thread(target=visit, args=(address, clips, random.Random(f"{seed} {n}"), end, counts))
        for n in range(visitors)
    ]
    for thread in threads:
        thread.start()
    me, megabytes = psutil.Process(), []
    for _ in range(20):
        time.sleep(3 * minutes)
        family = [me, *me.children(recursive=True)]
        megabytes.append(sum(process.memory_info().rss for process in family if process.is_running()) >> 20)
    for thread in threads:
        thread.join()
    return counts, megabytes


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visitors", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="captioner-visitors-") as name:
        folder = Path(name)
        import app
        from captioner import Captioner
        from demo.limits import Limits
        from demo.visit.uploads import private_folder

        clips = [shapes_clip(folder / f"{n}.mp4", number=n) for n in range(4)]
        clips.append(render_clip(folder / "film.mp4", frames=240, rate=12))
        limits = Limits(keep_seconds=60)
        with private_folder(limits.keep_seconds) as uploads:
            captioner = Captioner.load(tiny_checkpoint(folder / "tiny"))
            with served(app.build_app(captioner, limits=limits), limits) as address:
                counts, megabytes = load(
                    address, clips, visitors=options.visitors, minutes=options.minutes, seed=options.seed
                )
                time.sleep(2.5 * limits.keep_seconds)
                left = [path for path in uploads.rglob("*") if path.is_file()]
        children = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
        children = [child for child in children if "decoder_process" not in child]  # they live as long as the server
    for outcome, count in counts.most_common():
        print(f"{count:6} {outcome}")
    print(f"MB on the way: {megabytes}")
    print(f"left after {2.5 * limits.keep_seconds:.0f} s: {len(left)} files, {len(children)} processes {children[:3]}")
    flat = megabytes[-1] < 1.2 * max(megabytes[len(megabytes) // 4 :: -1])
    return 0 if flat and not left and not children and not counts["late"] else 1


if __name__ == "__main__":
    sys.exit(main())
