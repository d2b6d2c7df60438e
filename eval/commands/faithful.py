"""``python -m eval faithful``: does a word depend on the frames that it attended to? Deletion and insertion curves.

For each word of a caption, positions of the memory (frames, and places in them) are hidden. The word's log-probability
is then measured again after the same prefix (Samek et al. 2017; Petsiuk et al. 2018). Deletion hides the most attended
positions, insertion shows only them; both are compared with as many random positions. The noun evidence is off
throughout, since it is read from all frames.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from captioner.errors import CaptionerError, DataError, counted
from captioner.manifest import SPLITS, Clip, read_manifest
from captioner.safe.text import visible
from captioner.video.frames import sample_frames
from eval.commands.arguments import add_checkpoint, add_json, add_overwrite, check_numbers, print_and_write
from eval.report.table import check_outputs, columns

if TYPE_CHECKING:
    from captioner.caption.captioner import Captioner

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)
DRAWS = 4
WAYS = ("deletion", "deletion at random", "insertion", "insertion at random")


@dataclass(frozen=True)
class Curve:
    """How much a word's log-probability falls (nats), by the share of positions hidden or shown; means over words."""

    way: str
    falls: tuple[float, ...]
    area: float
    """Mean of ``falls``."""
    low: float
    high: float
    """Of the area: 95 % interval, resampling clips."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    parser.add_argument("manifest", metavar="MANIFEST", help="clips (python -m data ...)")
    parser.add_argument("--split", choices=SPLITS, default="test", help="split to caption (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N clips")
    parser.add_argument("--seed", type=int, default=12345, help="seed of the random positions (default: %(default)s)")
    add_json(parser, what="measurements")
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print. Exit 1 if a clip could not be decoded."""
    check_numbers(args, {"limit": (1, math.inf)})
    check_outputs([args.json], overwrite=args.overwrite)
    from captioner.caption.captioner import Captioner

    clips = [clip for clip in read_manifest(args.manifest, split=args.split) if clip.path is not None][: args.limit]
    captioner = Captioner.load(args.checkpoint)
    if captioner.checkpoint.model.decoder.attention is None:
        raise DataError(f"{args.checkpoint} has no attention (decoder.attend is false), so there is nothing to measure")
    falls, failed = measure(captioner, clips, seed=args.seed)
    if not falls:
        raise DataError("no clip with more than one position could be decoded")
    curves = summarise(falls, seed=args.seed)
    words = sum(len(rows) for rows in falls)
    head = ["", *(f"{100 * share:.0f} %" for share in SHARES), "area", "95 % interval"]
    rows = [[c.way, *(f"{x:.2f}" for x in c.falls), f"{c.area:.3f}", f"{c.low:.3f} to {c.high:.3f}"] for c in curves]
    parts = [f"{counted(len(falls), 'clip')}, {counted(words, 'word')}; how much a word's log-probability falls (nats)"]
    parts += [columns([head, *rows]), sentence(curves)]
    values = {"shares": SHARES, "curves": [asdict(curve) for curve in curves], "sentence": sentence(curves)}
    print_and_write("\n".join(parts), values, args)
    return 1 if failed else 0


def measure(captioner: Captioner, clips: Sequence[Clip], *, seed: int) -> tuple[list[NDArray[np.float64]], int]:
    """The falls (words, WAYS, SHARES) of each clip, and how many clips could not be decoded."""
    generator = np.random.default_rng(seed)
    found, failed = [], 0
    for clip in clips:
        try:
            assert clip.path is not None
            frames = sample_frames(
                clip.path, captioner.video, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds
            )
        except CaptionerError as error:
            print(f"eval: {visible(clip.id)}: {error}", file=sys.stderr)
            failed += 1
            continue
        rows = _of_clip(captioner, captioner.encode(frames), generator)
        if len(rows):
            found.append(rows)
    return found, failed


@torch.inference_mode()
def _of_clip(captioner: Captioner, features: NDArray[Any], generator: np.random.Generator) -> NDArray[np.float64]:
    tokenizer, model = captioner.tokenizer, captioner.checkpoint.model
    given = torch.from_numpy(features)[None].to(captioner.device)
    observation = model.observe(given, torch.ones(given.shape[:2], dtype=torch.bool, device=captioner.device))
    memory = observation.memory._replace(evidence=None)
    count = memory.values.shape[1]
    if count < 2:
        return np.zeros((0, len(WAYS), len(SHARES)))
    [[best]] = model.generate(memory, captioner.search)
    inputs = torch.tensor([[[tokenizer.bos_id, *best.tokens]]], device=captioner.device)
    logits, attention = model.decoder(memory, inputs)
    before = logits[0, 0].float().log_softmax(-1)
    rows = []
    for _, first, last in tokenizer.pieces.words(best.tokens):
        order = attention[0, 0, first:last].mean(dim=0).argsort(descending=True).cpu().numpy()
        hidden = _hidden(order, generator)
        many = memory._replace(
            values=memory.values.expand(len(hidden), -1, -1),
            keys=memory.keys.expand(len(hidden), -1, -1),
            mask=~torch.from_numpy(hidden).to(captioner.device),
        )
        after = model.decoder(many, inputs.expand(len(hidden), -1, -1))[0][:, 0].float().log_softmax(-1)
        said = torch.tensor(best.tokens[first:last], device=captioner.device)
        steps = torch.arange(first, last, device=captioner.device)
        fall = (before[steps, said].sum() - after[:, steps, said].sum(dim=1)).cpu().numpy()
        rows.append(_by_way(fall))
    return np.array(rows).reshape(-1, len(WAYS), len(SHARES))


def _hidden(order: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.bool_]:
    """What is hidden in each variant (variants, N): for each way and share one order, or several random ones."""
    variants = []
    for way in WAYS:
        for share in SHARES:
            several = [generator.permutation(order) for _ in range(DRAWS)] if "random" in way else [order]
            for each in several:
                chosen = np.zeros(len(order), bool)
                chosen[each[: min(len(order) - 1, max(1, round(share * len(order))))]] = True
                variants.append(chosen if "deletion" in way else ~chosen)
    return np.array(variants)


def _by_way(falls: NDArray[np.float64]) -> NDArray[np.float64]:
    """(variants,) -> (WAYS, SHARES), the mean over random draws."""
    rows, start = [], 0
    for way in WAYS:
        draws = DRAWS if "random" in way else 1
        end = start + draws * len(SHARES)
        rows.append(falls[start:end].reshape(len(SHARES), draws).mean(axis=1))
        start = end
    return np.array(rows)


def summarise(falls: Sequence[NDArray[np.float64]], *, seed: int, resamples: int = 1000) -> list[Curve]:
    """The curve of each way, words counting the same; intervals from resampling clips."""
    sums = np.array([rows.sum(axis=0) for rows in falls])
    counts = np.array([len(rows) for rows in falls])
    drawn = np.random.default_rng(seed).integers(0, len(falls), (resamples, len(falls)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None, None]
    low, high = np.percentile(means.mean(axis=2), [2.5, 97.5], axis=0)
    mean = sums.sum(axis=0) / counts.sum()
    return [
        Curve(way, tuple(mean[i].tolist()), float(mean[i].mean()), float(low[i]), float(high[i]))
        for i, way in enumerate(WAYS)
    ]


def sentence(curves: Sequence[Curve]) -> str:
    """How far the attention may be believed, in one sentence with its figures."""
    by_way = {curve.way: curve for curve in curves}
    quarter = SHARES.index(1 / 4)
    most, chance = by_way["deletion"].falls[quarter], by_way["deletion at random"].falls[quarter]
    return (
        f"Hiding the quarter that a word attended to most makes the word {np.exp(most):.2f} times less likely; hiding "
        f"a quarter at random, {np.exp(chance):.2f} times."
    )
