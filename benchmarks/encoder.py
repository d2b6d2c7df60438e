"""How much faster are frames encoded than by transformers' model as it comes, with the same features?

    python benchmarks/encoder.py [NETWORK ...]

Eager is what is usually written: the transformers model in float32, all 16 frames of a clip at once, in torch's usual
memory layout. Kept is the same in a process that keeps freed memory (captioner/io/platform.py): against it, only the
arithmetic counts. Fast is ``FrameEncoder.fast()``, as the commands use it. All get uint8 frames and give pooled
features, each in a process of its own with one thread; the runs alternate, and the least processor time of each counts.
The networks have their usual sizes and random weights, with batch normalisation fitted to the frames as training would.
A network may also be a folder with a pretrained one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor, nn

from captioner.io.platform import keep_freed_memory
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.precision import dead_leaves, fast_dtype

FRAMES, SIZE = 16, 224
NETWORKS = {
    "resnet-18": {
        "model_type": "resnet",
        "hidden_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
    },
    "resnet-50": {"model_type": "resnet"},
    "mobilenet_v2": {"model_type": "mobilenet_v2"},
    "convnext-tiny": {"model_type": "convnext"},
    "regnet-y-400mf": {
        "model_type": "regnet",
        "hidden_sizes": [48, 104, 208, 440],
        "depths": [1, 3, 6, 6],
        "groups_width": 8,
    },
    "efficientnet-b0": {
        "model_type": "efficientnet",
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "hidden_dim": 1280,
    },
}
WAYS = ("eager", "kept", "fast")
TARGETS = {"resnet-18": 3, "resnet-50": 3, "mobilenet_v2": 4}  # times eager, where the processor has bfloat16


def load(network: str) -> FrameEncoder:
    """The encoder of a folder, or one of :data:`NETWORKS` with random weights."""
    if network not in NETWORKS:
        return FrameEncoder.load(EncoderConfig(source=network))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(NETWORKS[network]))
        torch.manual_seed(0)
        encoder = FrameEncoder.load(EncoderConfig(source=folder, weights="random"))
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches
    encoder.train()
    with torch.no_grad():
        encoder(dead_leaves(4, height=SIZE, width=SIZE))
    return encoder.eval()


def eager(encoder: FrameEncoder) -> Callable[[Tensor], Tensor]:
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (encoder.config.mean, encoder.config.std))

    def encode(frames: Tensor) -> Tensor:
        pixels = (frames.permute(0, 3, 1, 2).contiguous() / 255 - mean) / std
        return encoder.cnn(pixels).last_hidden_state.mean(dim=(2, 3))

    return encode


@torch.inference_mode()
def work(way: str, network: str, orders: Connection) -> None:
    """A process that encodes the frames as often as it is told to, and says how long that took and what it gave."""
    torch.set_num_threads(1)
    if way == "kept":
        keep_freed_memory()
    encoder = load(network)
    encode = encoder.fast() if way == "fast" else eager(encoder)
    frames = dead_leaves(FRAMES, height=SIZE, width=SIZE)
    encode(frames)  # the first run prepares
    while orders.recv():
        started = time.process_time()
        features = encode(frames)
        orders.send((time.process_time() - started, features.flatten(1).double().numpy()))


def compare(network: str, rounds: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    ends, milliseconds, features = {}, {way: float("inf") for way in WAYS}, {}
    for way in WAYS:
        ends[way], theirs = spawn.Pipe()
        spawn.Process(target=work, args=(way, network, theirs), daemon=True).start()
    for _ in range(rounds):
        for way, end in ends.items():
            end.send(True)
            seconds, features[way] = end.recv()
            milliseconds[way] = min(milliseconds[way], seconds * 1e3 / FRAMES)
    for end in ends.values():
        end.send(False)
    cosines = torch.cosine_similarity(torch.from_numpy(features["eager"]), torch.from_numpy(features["fast"]))
    print(
        f"{Path(network).name:22}"
        + "".join(f"{milliseconds[way]:9.1f}" for way in WAYS)
        + "".join(f"{milliseconds[way] / milliseconds['fast']:9.1f}x" for way in WAYS if way != "fast")
        + f"{float(cosines.mean()):10.5f}{float(cosines.min()):9.5f}"
        + (f"   at least {TARGETS[network]}x is wanted" if network in TARGETS else ""),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    dtype = str(fast_dtype(torch.device("cpu"))).removeprefix("torch.")
    print(f"{FRAMES} frames of {SIZE} px, one thread, fast in {dtype}; milliseconds of processor time a frame")
    print(f"{'':22}{'eager':>9}{'kept':>9}{'fast':>9}{'eager':>10}{'kept':>10}    cosine: mean, least")
    for network in options.networks:
        compare(network, options.rounds)


if __name__ == "__main__":
    main()
