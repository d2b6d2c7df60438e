"""GRU or LSTM? Every recurrent cell in the decoder, at equal budget: parameters, speed, validation loss and CIDEr.

    python benchmarks/cells.py work/msvd/manifest.jsonl [--epochs 6] [--seeds 3]

Each row trains the same recipe (the default captioner's CNN, pooled to one place a frame; decoder of 256) with another
cell. Loss is per token of the validation captions, CIDEr of the validation clips; means over seeds with the 95 %
interval of Student's t. Milliseconds are medians of interleaved runs, one thread: a step of beam search (5 beams of 16
clips), and a training step of 128 captions of 12 tokens. Finished runs are kept in ``runs/cells``; given again, it goes
on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from captioner.io.status import Status
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.decoder import AttentionGRU
from captioner.recurrent.cells import CELLS
from captioner.training.captioning import CaptionTask
from captioner.training.config import DataConfig, Recipe, TrainConfig
from captioner.training.log import TrainingLog
from captioner.training.train import fit
from captioner.training.validation import Validator
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig

T95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}


def recipe_for(manifest: str, cell: str, *, epochs: int, seed: int) -> Recipe:
    return Recipe(
        data=DataConfig(manifests=(manifest,), cache="work/features"),
        video=VideoConfig(size=256),
        encoder=EncoderConfig(source="efficientnet-lite2"),
        decoder=DecoderConfig(cell=cell, embed=256, hidden=256, attention=128, dropout=0.5),  # type: ignore[arg-type]
        search=SearchConfig(max_length=20),
        train=TrainConfig(epochs=epochs, captions_per_clip=20, batch_size=128, ema=0.99, seed=seed, threads=1),
    )


def train(manifest: str, cell: str, *, epochs: int, seed: int) -> dict[str, float]:
    """Validation loss and CIDEr at the end of a run."""
    out = Path("runs/cells") / f"{cell}-{epochs}-{seed}"
    if (out / "result.json").exists():
        result: dict[str, float] = json.loads((out / "result.json").read_text())
        return result
    recipe = recipe_for(manifest, cell, epochs=epochs, seed=seed)
    fit(recipe, out, quiet=True)
    state = torch.load(out / "state.pt", weights_only=True)
    task = CaptionTask(recipe, TrainingLog(None, status=Status(quiet=True)), torch.device("cpu"))
    task.model.load_state_dict(state["average"])
    validator = Validator(task.model.eval(), task.tokenizer, search=recipe.search)
    ciders = [validator.cider(corpus) for corpus in task.val.values()]
    result = {"loss": validator.loss(task.val.values()), "cider": 100 * float(np.mean(ciders))}
    (out / "result.json").write_text(json.dumps(result))
    return result


def speed(rounds: int = 15) -> dict[str, tuple[int, float, float]]:
    """Parameters of the cell, milliseconds of a search step and of a training step."""
    torch.set_num_threads(1)
    decoders, times = {}, {cell: ([], []) for cell in CELLS}  # type: ignore[var-annotated]
    for cell in CELLS:
        config = DecoderConfig(cell=cell, embed=256, hidden=256, attention=128)  # type: ignore[arg-type]
        decoders[cell] = AttentionGRU(config, vocabulary=4000, width=1280, places=1)
    features, mask = torch.randn(128, 16, 1, 1280), torch.ones(128, 16, dtype=torch.bool)
    tokens = torch.randint(4000, (128, 1, 12))
    for _ in range(rounds):
        for cell, decoder in decoders.items():
            with torch.inference_mode():
                memory = decoder.eval().remember(features[:16], mask[:16])
                state = decoder.start(memory, beams=5)
                began = time.perf_counter()
                decoder.step(memory, tokens[:16, :, 0].expand(-1, 5), state)
                times[cell][0].append(time.perf_counter() - began)
            began = time.perf_counter()
            decoder.train()(decoder.remember(features, mask), tokens)[0].float().logsumexp(-1).mean().backward()
            times[cell][1].append(time.perf_counter() - began)
    return {
        cell: (
            sum(p.numel() for p in decoders[cell].cells.parameters()),
            1e3 * float(np.median(times[cell][0])),
            1e3 * float(np.median(times[cell][1])),
        )
        for cell in CELLS
    }


def mean(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = T95.get(len(values), 2.2) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{np.mean(values):.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    speeds = speed()
    print("| cell | parameters | ms a search step | ms a training step | val loss | val CIDEr |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for cell in CELLS:
        runs = [
            train(str(Path(options.manifest).resolve()), cell, epochs=options.epochs, seed=seed)
            for seed in range(1, options.seeds + 1)
        ]
        parameters, step, learning = speeds[cell]
        loss, cider = mean([r["loss"] for r in runs]), mean([r["cider"] for r in runs])
        print(f"| {cell} | {parameters:,} | {step:.1f} | {learning:.0f} | {loss} | {cider} |", flush=True)


if __name__ == "__main__":
    main()
