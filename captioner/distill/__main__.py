"""``python -m captioner.distill RECIPE [section.key=value ...]``: train, or go on where an earlier run stopped.

The exported folder is named on stdout; the log goes to stderr and to ``log.jsonl`` in the run's folder. With
``--compact`` it only packs the photos as WebP, to carry to a machine with a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from captioner.distill.recipe import DistillRecipe, load_distill_recipe
from captioner.errors import CaptionerError


def fit(recipe: DistillRecipe) -> Path:
    """Train to the end of the schedule, from the start or where an earlier run stopped; returns the exported folder."""
    import numpy as np
    import torch

    from captioner.allocator import keep_freed_memory
    from captioner.distill.photos import load_photos
    from captioner.distill.run import Pixels, Run

    keep_freed_memory()
    settings, folder = recipe.distill, Path(recipe.distill.output)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(recipe)
    held_out = load_photos(recipe.photos, split="val")
    pixels: Pixels = load_photos(recipe.photos, split="train")
    if run.device.type == "cuda":
        pixels = torch.from_numpy(np.array(pixels)).to(run.device)
    if not run.resume(folder) and not settings.start:
        run.measure_teacher(pixels)
    targets = run.targets(held_out)

    began, before = time.monotonic(), run.seconds
    saved, since, sums = began, run.samples, dict[str, Any]()
    while not run.done:
        for name, term in run.learn(pixels).items():
            sums[name] = sums[name] + term if name in sums else term
        now = time.monotonic()
        stop = 0 < 60 * settings.stop_minutes <= now - began
        if now - saved >= 60 * settings.save_minutes or run.done or stop:
            run.seconds = before + now - began
            row = {
                "samples": run.samples,
                "hours": run.seconds / 3600,
                "samples_per_second": (run.samples - since) / (now - saved),
                "size": recipe.phase_at(run.samples - 1).size,
                "learning_rate": run.learning_rate(),
            }
            steps = (run.samples - since) / settings.batch_size
            row |= {name: float(total) / steps for name, total in sums.items()}
            _log(folder, row | run.measure(held_out, targets))
            run.save(folder)
            saved, since, sums = now, run.samples, {}
        if stop:
            break
    return folder / "export"


def _log(folder: Path, row: dict[str, float]) -> None:
    line = json.dumps({name: round(value, 5) for name, value in row.items()})
    print(line, file=sys.stderr, flush=True)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(line + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m captioner.distill", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument(
        "--compact", type=int, metavar="QUALITY", help="pack the photos as WebP of this quality (1-100)"
    )
    options = parser.parse_args(arguments)
    try:
        recipe = load_distill_recipe(options.recipe, overrides=tuple(options.overrides))
        if options.compact:
            from captioner.distill.photos import compact

            size = sum(compact(recipe.photos, split=split, quality=options.compact) for split in ("train", "val"))
            print(f"{recipe.photos.pack}: {size / 1e6:.1f} MB", file=sys.stderr)
        else:
            print(fit(recipe))
    except CaptionerError as error:
        if os.environ.get("CAPTIONER_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
