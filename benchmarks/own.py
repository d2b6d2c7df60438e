"""What does the packaged captioner learn from a few clips of a narrow domain?

    python benchmarks/own.py [--clips 5 10 20 40] [--out DIR]

Renders clips of moving shapes, which the package's checkpoint has never seen, trains ``recipes/own`` on some of them
(and a quarter as many to validate on, two at least) and scores the checkpoint before and after on 96 held-out ones,
from their files.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from captioner import Captioner
from captioner.manifest import Clip, read_manifest
from captioner.metrics.cider import CiderScorer
from captioner.training.config import load_recipe
from captioner.training.train import fit
from data.shapes import render

ROOT = Path(__file__).resolve().parents[1]


def captions(captioner: Captioner, clips: Sequence[Clip]) -> list[str]:
    return [captioner.caption(clip.path).text for clip in clips if clip.path is not None]


def scores(said: Sequence[str], clips: Sequence[Clip]) -> str:
    """CIDEr-D, and how many captions are exactly what a reference says."""
    references = {clip.id: list(clip.captions) for clip in clips}
    cider = 100 * float(CiderScorer(references).score([clip.id for clip in clips], said).mean())
    exact = sum(text in clip.captions for text, clip in zip(said, clips, strict=True))
    return f"CIDEr {cider:.1f}, {exact} of {len(clips)} exact, for example: {said[0]!r} ({clips[0].captions[0]!r})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--clips", type=int, nargs="+", default=[40], metavar="N", help="train clips (default: %(default)s)"
    )
    parser.add_argument("--out", default="work/own-benchmark", metavar="DIR", help="default: %(default)s")
    options = parser.parse_args()
    folder = Path(options.out).resolve()
    if not (folder / "test" / "manifest.jsonl").exists():
        render(folder / "test", train=1, val=1, test=96)
    held_out = [clip for clip in read_manifest(folder / "test" / "manifest.jsonl") if clip.split == "test"]
    before = captions(Captioner.load(), held_out)
    print("before:", scores(before, held_out), flush=True)
    for count in options.clips:
        out = folder / str(count)
        if not (out / "manifest.jsonl").exists():
            render(out, train=count, val=max(2, count // 4), test=0)
        settings = (f'data.manifests=["{out / "manifest.jsonl"}"]', f'data.cache="{folder / "features"}"')
        recipe = load_recipe(ROOT / "recipes" / "own" / "recipe.toml", overrides=settings)
        began, used = time.monotonic(), time.process_time()
        checkpoint = fit(recipe, out / "run", quiet=True)
        took = f"{time.monotonic() - began:.0f} s, {time.process_time() - used:.0f} s of a processor"
        after = captions(Captioner.load(checkpoint), held_out)
        changed = sum(one != other for one, other in zip(before, after, strict=True))
        print(f"{count} clips ({took}): {scores(after, held_out)}; {changed} captions changed", flush=True)


if __name__ == "__main__":
    main()
