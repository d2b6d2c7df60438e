"""What does the packaged captioner learn from forty clips of a narrow domain?

    python benchmarks/own.py [--clips 40] [--out DIR]

Renders clips of moving shapes, which the package's checkpoint has never seen, trains ``recipes/own`` on some of them
and scores the checkpoint before and after on held-out ones, from their files.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from captioner import Captioner
from captioner.manifest import Clip, read_manifest
from captioner.metrics.cider import CiderScorer
from captioner.training.config import load_recipe
from captioner.training.train import fit
from data.shapes import render

ROOT = Path(__file__).resolve().parents[1]


def scores(captioner: Captioner, clips: list[Clip]) -> str:
    """CIDEr-D, and how many captions are exactly what a reference says."""
    told = [captioner.caption(clip.path).text for clip in clips if clip.path is not None]
    references = {clip.id: list(clip.captions) for clip in clips}
    cider = 100 * float(CiderScorer(references).score([clip.id for clip in clips], told).mean())
    exact = sum(text in clip.captions for text, clip in zip(told, clips, strict=True))
    return f"CIDEr {cider:.1f}, {exact} of {len(clips)} exact, for example: {told[0]!r} ({clips[0].captions[0]!r})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=40, metavar="N", help="train clips (default: %(default)s)")
    parser.add_argument("--out", default="work/own-benchmark", metavar="DIR", help="default: %(default)s")
    options = parser.parse_args()
    out = Path(options.out).resolve() / str(options.clips)
    manifest = out / "manifest.jsonl"
    if not manifest.exists():
        render(out, train=options.clips, val=10, test=96)
    held_out = [clip for clip in read_manifest(manifest) if clip.split == "test"]
    print("before:", scores(Captioner.load(), held_out), flush=True)
    settings = (f'data.manifests=["{manifest}"]', f'data.cache="{out / "features"}"')
    began = time.monotonic()
    checkpoint = fit(load_recipe(ROOT / "recipes" / "own" / "recipe.toml", overrides=settings), out / "run", quiet=True)
    print(f"trained in {time.monotonic() - began:.0f} s", flush=True)
    print("after: ", scores(Captioner.load(checkpoint), held_out))


if __name__ == "__main__":
    main()
