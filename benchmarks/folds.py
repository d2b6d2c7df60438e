"""Which CNN, how many places and how many frames? Captioners trained on five folds of MSVD's train and val clips.

    python benchmarks/folds.py work/msvd/manifest.jsonl [--rows N ...] [--epochs 8]

Each row trains the same small captioner (a frozen CNN, a decoder of 256) five times, each time on four fifths of the
clips; the loss of people's captions (a token) and CIDEr are of the fifth that it did not see, so that 353 clips speak
where the val split has 28. The numbers after ± are standard errors of the difference to the first row, over the folds.
Finished runs are kept in ``runs/folds``; given again, it goes on, also in several processes with some ``--rows`` each.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from captioner.io.status import Status
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.manifest import read_manifest, write_manifest
from captioner.training.captioning import CaptionTask
from captioner.training.config import DataConfig, Recipe, TrainConfig
from captioner.training.log import TrainingLog
from captioner.training.train import fit
from captioner.training.validation import Validator
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig

FOLDS = 5
OUT = Path("runs/folds")


@dataclass(frozen=True)
class Row:
    """What a captioner sees."""

    cnn: str = "efficientnet-lite2"
    size: int = 256
    frames: int = 16
    grid: int = 0

    def __str__(self) -> str:
        places = f"{self.grid} x {self.grid} places" if self.grid else "one place"
        return f"{self.cnn.removeprefix('efficientnet-')}, {self.frames} frames, {places}"


ROWS = (
    Row(),
    Row("efficientnet-lite0", size=224),
    Row(grid=2),
    Row(grid=3),
    Row(frames=4),
    Row(frames=8),
    Row(frames=24),
)


def fold_manifest(manifest: str, fold: int) -> Path:
    """The train and val clips with the split val for one fifth of them."""
    clips = [clip for split in ("train", "val") for clip in read_manifest(manifest, split=split) if clip.path]
    part = np.random.default_rng(0).permutation(len(clips)) % FOLDS
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"fold{fold}.jsonl"
    splits = ["val" if own == fold else "train" for own in part]
    write_manifest(path, [replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)])
    return path.resolve()


def train(manifest: str, row: Row, fold: int, *, epochs: int) -> tuple[float, float]:
    """Loss and CIDEr x 100 of the fold that was not seen."""
    out = OUT / f"{row} {epochs} {fold}".replace(", ", "-").replace(" ", "-")
    if not (out / "result.json").exists():
        recipe = Recipe(
            data=DataConfig(manifests=(str(fold_manifest(manifest, fold)),), cache="work/features"),
            video=VideoConfig(size=row.size, frames=row.frames),
            encoder=EncoderConfig(source=row.cnn, grid=row.grid),
            decoder=DecoderConfig(embed=256, hidden=256, attention=128, dropout=0.5),
            search=SearchConfig(max_length=20),
            train=TrainConfig(
                epochs=epochs, captions_per_clip=20, batch_size=128, warmup_steps=50, ema=0.98, threads=1
            ),
        )
        fit(recipe, out, quiet=True)
        task = CaptionTask(recipe, TrainingLog(None, status=Status(quiet=True)), torch.device("cpu"))
        task.model.load_state_dict(torch.load(out / "state.pt", weights_only=True)["average"])
        validator = Validator(task.model.eval(), task.tokenizer, search=recipe.search)
        [held_out] = task.val.values()
        (out / "result.json").write_text(json.dumps([validator.loss([held_out]), 100 * validator.cider(held_out)]))
    loss, cider = json.loads((out / "result.json").read_text())
    return loss, cider


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("--rows", type=int, nargs="+", default=range(len(ROWS)), help="of the table, from 0 on")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    first: np.ndarray | None = None
    print("| | loss | CIDEr |\n| --- | ---: | ---: |")
    for number in options.rows:
        results = [train(options.manifest, ROWS[number], fold, epochs=options.epochs) for fold in range(FOLDS)]
        found = np.array(results)
        first = found if first is None else first
        away = (found - first).std(axis=0, ddof=1) / FOLDS**0.5
        (loss, cider), (loss_error, cider_error) = found.mean(axis=0), away
        print(f"| {ROWS[number]} | {loss:.3f} ± {loss_error:.3f} | {cider:.1f} ± {cider_error:.1f} |", flush=True)


if __name__ == "__main__":
    main()
