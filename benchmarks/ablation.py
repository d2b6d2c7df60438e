"""What matters for the score? One short training run a row, each with one setting changed.

    python -m data msvd ../shared/data/msvd --out work/msvd
    python -m data flickr8k ../shared/data/flickr8k --out work/flickr8k
    python -m data msrvtt ../shared/data/msrvtt --out work/msrvtt --text-only
    mkdir -p work/stanford40 && tar xf ../shared/data/stanford40/images.tar -C work/stanford40
    python -m data actions work/stanford40 --out work/actions
    python benchmarks/ablation.py                 # every row; goes on where it was stopped
    python benchmarks/ablation.py attention base  # some rows
    python benchmarks/ablation.py --table         # print what there is as Markdown

A row's checkpoint is the best on validation, as always. CIDEr-D x 100 with the central 95 % of 1,000 bootstrap
resamples of the clips; one seed, so differences within the intervals mean little. The last rows change only the search.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from captioner.checkpoint.captioning import load_checkpoint
from captioner.language.config import SearchConfig
from captioner.language.tokenizer import normalise
from captioner.manifest import Clip, read_manifest
from captioner.metrics.cider import CiderScorer
from captioner.training.config import Recipe, load_recipe
from captioner.training.features import FeatureCache
from captioner.training.texts import CaptionCorpus
from captioner.training.train import fit
from captioner.training.validation import Validator
from captioner.vision.encoder import FrameEncoder

ROOT = Path(__file__).resolve().parent.parent
LITE0 = ('encoder.source="efficientnet-lite0"', "encoder.grid=3")
LITE2 = ('encoder.source="efficientnet-lite2"', "encoder.grid=3", "video.size=256")
ACTIONS = (
    'data.manifests=["../../work/msvd/manifest.jsonl", "../../work/flickr8k/manifest.jsonl", '
    '"../../work/actions/manifest.jsonl"]',
    "data.repeat=[6, 1, 1]",
)
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "base": ("attention, one GRU layer, reset after, 16 frames, own pieces", ()),
    "mean": ("mean pooling in place of attention", ("decoder.attend=false",)),
    "before": ("reset gate before the product (Cho et al.)", ('decoder.reset="before"',)),
    "layers": ("two GRU layers", ("decoder.layers=2",)),
    "gru": ("GRU over the frames", ('decoder.temporal="gru"',)),
    "bigru": ("bidirectional GRU over the frames", ('decoder.temporal="bigru"',)),
    "t5": ("T5's pieces", ('tokenizer.source="../../../shared/data/tokenizers/t5-small"',)),
    "notext": ("no language-model warm-up", ("train.text_epochs=0",)),
    "moretext": (
        "warm-up on MSR-VTT's captions as well",
        ('data.text=["../../work/msvd/text.jsonl", "../../work/msrvtt/text.jsonl"]',),
    ),
    "actions": ("and Stanford 40's photos, captioned by their labels", ACTIONS),
    "sharp": ("no label smoothing", ("train.label_smoothing=0.0",)),
    "hide": ("a third of the frames hidden in training", ("train.frame_dropout=0.33",)),
    "scst": ("and two epochs of self-critical training", ("train.scst_epochs=2", "train.scst_learning_rate=1e-4")),
    "frames1": ("1 frame", ("video.frames=1",)),
    "frames4": ("4 frames", ("video.frames=4",)),
    "frames8": ("8 frames", ("video.frames=8",)),
    "grid": ("3 x 3 places a frame", ("encoder.grid=3",)),
    "lite0": ("EfficientNet-Lite0 at 224 px, 3 x 3 places", LITE0),
    "lite2": ("EfficientNet-Lite2 at 256 px, 3 x 3 places", LITE2),
    "views": ("the same and six views of each clip", (*LITE2, "data.views=6")),
    "evidence": ("the same and the classifier's evidence", (*LITE2, 'decoder.evidence="efficientnet-lite2"')),
}
SEARCHES: dict[str, tuple[str, SearchConfig]] = {
    "greedy": ("greedy", SearchConfig(beams=1, max_length=20)),
    "beam3": ("beam 3", SearchConfig(beams=3, max_length=20)),
    "beam10": ("beam 10", SearchConfig(beams=10, max_length=20)),
    "plain": ("beam 5, no length penalty", SearchConfig(beams=5, max_length=20, length_penalty=0.0)),
    "diverse": ("diverse, 3 groups of 2", SearchConfig(beams=6, groups=3, max_length=20)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join((*RUNS, *SEARCHES))}")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "ablation")
    parser.add_argument("--table", action="store_true", help="print the rows there are as Markdown")
    options = parser.parse_args()
    unknown = set(options.rows) - set(RUNS) - set(SEARCHES)
    if unknown:
        parser.error(f"unknown rows: {', '.join(sorted(unknown))}")
    results = options.out / "results.jsonl"
    if not options.table:
        options.out.mkdir(parents=True, exist_ok=True)
        done = _read(results)
        for name in options.rows or (*RUNS, *SEARCHES):
            if name in done:
                continue
            row = {"row": name} | measure(name, options.out)
            with results.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr, flush=True)
    print(table(_read(results)))


def measure(name: str, out: Path) -> dict[str, object]:
    """Train the row (or take the base's checkpoint), caption every split, score."""
    run = name if name in RUNS else "base"
    recipe = load_recipe(ROOT / "recipes" / "ablation" / "recipe.toml", overrides=RUNS[run][1])
    began = time.monotonic()
    checkpoint = fit(recipe, out / run)
    minutes = (time.monotonic() - began) / 60
    search = SEARCHES[name][1] if name in SEARCHES else recipe.search
    scores: dict[str, object] = {"minutes": round(minutes, 1)}
    for manifest in recipe.data.val:
        for split in ("val", "test"):
            clips = [c for c in read_manifest(manifest, split=split) if c.path is not None and c.captions]
            captions = caption(checkpoint, recipe, clips, replace(search, n_best=1))
            references = {c.id: [normalise(r) for r in c.captions] for c in clips}
            per_clip = CiderScorer(references).score(list(references), captions)
            drawn = np.random.default_rng(1).integers(0, len(clips), size=(1000, len(clips)))
            low, high = np.percentile(per_clip[drawn].mean(axis=1), [2.5, 97.5])
            values = [round(100 * float(v), 1) for v in (per_clip.mean(), low, high)]
            scores[f"{Path(manifest).parent.name} {split}"] = [*values, len(set(captions))]
    return scores


def caption(checkpoint: Path, recipe: Recipe, clips: list[Clip], search: SearchConfig) -> list[str]:
    """The best caption of every clip, from cached features."""
    loaded = load_checkpoint(checkpoint)
    cache = FeatureCache(recipe.data.cache, video=recipe.video, encoder=FrameEncoder.load(recipe.encoder))
    for clip, error in cache.fill(clips):
        raise SystemExit(f"{clip.path}: {error}")
    corpus = CaptionCorpus(clips=clips, arrays=[cache.load(clip) for clip in clips], repeat=[], views=[], tokens=[])
    return Validator(loaded.model.eval(), loaded.tokenizer, search=search).captions(corpus)


def table(results: dict[str, dict[str, object]]) -> str:
    """Markdown, in the order of RUNS and SEARCHES."""
    columns = ("msvd val", "msvd test", "flickr8k val", "flickr8k test")
    lines = ["| | " + " | ".join(columns) + " | different |", "| --- |" + " ---: |" * (len(columns) + 1)]
    for name, (label, _) in (RUNS | SEARCHES).items():
        if row := results.get(name):
            cells = ["{:.1f} ({:.1f}-{:.1f})".format(*row[c][:3]) for c in columns]  # type: ignore[index]
            lines.append(f"| {label} | {' | '.join(cells)} | {row['msvd test'][3]} |")  # type: ignore[index]
    return "\n".join(lines)


def _read(results: Path) -> dict[str, dict[str, object]]:
    if not results.exists():
        return {}
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {row["row"]: row for row in rows}


if __name__ == "__main__":
    main()
