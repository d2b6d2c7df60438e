"""Clips of several scenes: how good are their captions, and does a clip of one scene keep its own?

    python benchmarks/scenes.py work/msvd/manifest.jsonl                 # train and val: decide on these
    python benchmarks/scenes.py work/msvd/manifest.jsonl --split test    # for the report

A splice is two or three clips one after the other, sampled as one file would be. Its caption is scored against the
references of each clip, and the best CIDEr counts. Of photos it is a slide show, six seconds each. The document
frequencies are of all clips of the split. Rows: with the checkpoint's ``scene_change``, and with 0. Of train clips the
captions are too good, but the difference speaks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from captioner import Captioner
from captioner.caption.clips import EncodedClip
from captioner.caption.result import Caption
from captioner.language.tokenizer import normalise
from captioner.manifest import Clip, read_manifest
from captioner.metrics.cider import CiderScorer
from captioner.video.frames import Frames, sample_frames

_PHOTO_SECONDS = 6.0


def splice(clips: Sequence[Frames], count: int) -> Frames:
    """The clips one after the other: the frames nearest to ``count`` moments of the whole."""
    lengths = np.array([clip.duration_seconds or _PHOTO_SECONDS for clip in clips])
    starts, total = np.cumsum(lengths) - lengths, float(lengths.sum())
    pixels, times = [], []
    for moment in (np.arange(count) + 0.5) * total / count:
        number = int(np.searchsorted(starts, moment, side="right")) - 1
        own = np.array(clips[number].times_seconds)
        pixels.append(clips[number].pixels[np.abs(own - (moment - starts[number])).argmin()])
        times.append(float(moment))
    return replace(clips[0], pixels=np.stack(pixels), times_seconds=tuple(times), duration_seconds=total)


def captions(captioner: Captioner, frames: Frames, changes: Sequence[float]) -> list[Caption]:
    """The caption by each value of ``scene_change``."""
    clip = EncodedClip(frames, captioner.encode(frames))
    return [
        captioner.caption_encoded([clip], search=replace(captioner.search, scene_change=change))[0]
        for change in changes
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", help="work/msvd/manifest.jsonl")
    parser.add_argument("--split", choices=("train", "val", "test"), action="append", help="default: train and val")
    parser.add_argument("--tries", type=int, default=300, help="splices of two, and of three (default: 300)")
    parser.add_argument("--change", type=float, nargs="+", help="scene_change (default: 0, and the checkpoint's)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    captioner = Captioner.load()
    changes = options.change or [0.0, captioner.search.scene_change]
    splits = options.split or ["train", "val"]
    clips = {clip.id: clip for split in splits for clip in read_manifest(options.manifest, split=split) if clip.path}
    scorer = CiderScorer({name: [normalise(c) for c in clip.captions] for name, clip in clips.items()})
    generator = np.random.default_rng(0)
    names = np.array(list(clips))

    @lru_cache(maxsize=200)
    def frames(clip: Clip) -> Frames:
        assert clip.path is not None
        return sample_frames(clip.path, captioner.video)

    print("| clips | " + " | ".join(f"CIDEr at {change:g}" for change in changes) + " | changed | described a scene |")
    print("| --- " + "| ---: " * (len(changes) + 2) + "|")
    for parts in (1, 2, 3):
        groups = [(name,) for name in names]
        if parts > 1:
            groups = [tuple(generator.choice(names, parts, replace=False)) for _ in range(options.tries)]
        scores, changed, scenes = np.zeros((len(groups), len(changes))), 0, 0
        for row, group in enumerate(groups):
            shown = [frames(clips[name]) for name in group]
            told = captions(captioner, splice(shown, captioner.video.frames) if parts > 1 else shown[0], changes)
            for column, caption in enumerate(told):
                scores[row, column] = max(scorer.score([name], [caption.text])[0] for name in group)
            changed += told[0].text != told[-1].text
            scenes += told[-1].scene_seconds is not None
        figures = " | ".join(f"{100 * score:.1f}" for score in scores.mean(axis=0))
        print(f"| {len(groups)} of {parts} | {figures} | {changed} | {scenes} |", flush=True)


if __name__ == "__main__":
    main()
