"""How long does one caption take: the first, by the command, and the next, in a program that has begun?

    python benchmarks/start.py [CLIP] [--beside CHECKPOINT]

The command starts a fresh interpreter for a clip of 10 s at 320 x 240 (rendered, or the one given). Beside it stand
``import torch`` alone, below which nothing can go, and the same checkpoint without its recording (docs/decisions/0051),
so that transformers has to be imported, and any other checkpoint (recipes/teacher's, say). They alternate; each has
one thread; the least processor time of each counts. Wanted: 3 s, and 150 ms for the next caption.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import least_seconds
from captioner import Captioner
from captioner.checkpoint.captioning import DEFAULT, load_checkpoint
from captioner.vision.precision import dead_leaves

SECONDS, RATE, HEIGHT, WIDTH = 10, 25, 240, 320


def render(path: Path) -> None:
    """A clip that pans over made-up pictures."""
    picture = np.concatenate(list(dead_leaves(4, height=HEIGHT, width=WIDTH).numpy()), axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for i in range(SECONDS * RATE):
            shown = np.ascontiguousarray(picture[:, 3 * i : 3 * i + WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode(None))


def with_and_without_recording(folder: Path) -> tuple[Path, Path]:
    """Two copies of the package's checkpoint."""
    loaded = load_checkpoint()
    encoder = loaded.model.encoder
    kinds = {"recorded": encoder.cnn_config(size=loaded.video.size), "plain": encoder.cnn_config()}
    for name, cnn in kinds.items():
        shutil.copytree(DEFAULT, folder / name)
        config = json.loads((DEFAULT / "config.json").read_text(encoding="utf-8"))
        (folder / name / "config.json").write_text(json.dumps(config | {"cnn": cnn}), encoding="utf-8")
    return folder / "recorded", folder / "plain"


def command_seconds(arguments: list[str]) -> tuple[float, float]:
    """Processor time and time of a fresh interpreter."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", metavar="CLIP")
    parser.add_argument("--beside", metavar="CHECKPOINT", help="time this one as well")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = options.clip or str(folder / "clip.mp4")
        if not options.clip:
            render(folder / "clip.mp4")
        recorded, plain = with_and_without_recording(folder)
        commands = {
            "import torch": ["-c", "import torch"],
            "captioner caption": ["-m", "captioner", "caption", clip, "-m", str(recorded)],
            "  without recording": ["-m", "captioner", "caption", clip, "-m", str(plain)],
        }
        if options.beside:
            commands["  " + options.beside] = ["-m", "captioner", "caption", clip, "-m", options.beside]
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, arguments in commands.items():
                times[name].append(command_seconds(arguments))
        for name, measured in times.items():
            processor, clock = (min(column) for column in zip(*measured, strict=True))
            print(f"{name:20} {processor:6.2f} s of processor time, {clock:6.2f} s by the clock")
        captioners = {"the next caption": Captioner.load(recorded)}
        if options.beside:
            captioners["  " + options.beside] = Captioner.load(options.beside)
        for captioner in captioners.values():
            captioner.caption(clip)
        runs = {name: partial(captioner.caption, clip) for name, captioner in captioners.items()}
        for name, seconds in least_seconds(runs, 5 * options.rounds).items():
            print(f"{name:20} {1e3 * seconds:6.0f} ms")


if __name__ == "__main__":
    main()
