"""Does a search take less time with the decoder's weights by columns than by rows?

    python benchmarks/layout.py [CHECKPOINT]

BLAS multiplies a few rows (a search: one a beam) by a weight sooner where the weight lies by columns. The same made-up
clips are captioned both ways by turns, on one thread; the least time of each counts. Sentences must be the same.
"""

from __future__ import annotations

import copy
import sys
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import least_seconds
from captioner.checkpoint.captioning import load_checkpoint
from captioner.model import CaptionModel

CLIPS, FRAMES, ROUNDS = 8, 16, 6


def main() -> None:
    torch.set_num_threads(1)
    loaded = load_checkpoint(sys.argv[1] if len(sys.argv) > 1 else None)
    rows = loaded.model
    columns = copy.deepcopy(rows)
    columns.decoder.lay_out_by_columns()
    generator = torch.Generator().manual_seed(0)
    size = loaded.video.size
    frames = torch.randint(256, (CLIPS, FRAMES, size, size, 3), dtype=torch.uint8, generator=generator)
    mask = torch.ones(1, FRAMES, dtype=torch.bool)
    with torch.inference_mode():
        features = [rows.encoder.fast()(clip)[None] for clip in frames]

    @torch.inference_mode()
    def say(model: CaptionModel, clip: torch.Tensor) -> tuple[int, ...]:
        [[best, *_]] = model.generate(model.observe(clip, mask).memory, loaded.search)
        return best.tokens

    total = {"rows": 0.0, "columns": 0.0}
    for clip in features:
        assert say(rows, clip) == say(columns, clip), "another sentence"
        ways = {"rows": partial(say, rows, clip), "columns": partial(say, columns, clip)}
        for name, seconds in least_seconds(ways, ROUNDS, clock=time.perf_counter).items():
            total[name] += seconds
    means = {name: seconds / CLIPS * 1e3 for name, seconds in total.items()}
    print(", ".join(f"{name} {mean:.1f} ms" for name, mean in means.items()))
    print(f"rows / columns: {means['rows'] / means['columns']:.2f}")


if __name__ == "__main__":
    main()
