"""Does a captioner learn from nothing to say exactly what rendered clips show?

    python benchmarks/shapes.py [--out DIR]

Renders shapes, trains ``recipes/shapes`` on them from random weights, and captions the held-out test clips from their
files through the package's own pipeline: half of them show combinations of words that training never showed. A caption
counts when it is exactly the true one; at least 95 % are wanted. A run that is stopped goes on when called again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from captioner import Captioner
from captioner.io.platform import keep_freed_memory
from captioner.manifest import Clip, read_manifest
from captioner.training.config import load_recipe
from captioner.training.train import fit
from data.shapes import render

ROOT = Path(__file__).resolve().parents[1]
CLIPS = 5000


def exact(captioner: Captioner, clips: list[Clip]) -> dict[str, list[bool]]:
    """Whether the caption of each clip is the true one, by category."""
    right: dict[str, list[bool]] = defaultdict(list)
    for clip in clips:
        assert clip.path is not None
        right[clip.category or ""].append(captioner.caption(clip.path).text == clip.captions[0])
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="work/shapes-benchmark", metavar="DIR", help="default: %(default)s")
    out = Path(parser.parse_args().out).resolve()
    manifest = out / "manifest.jsonl"
    if not manifest.exists():
        render(out, train=CLIPS)
    keep_freed_memory()
    settings = (f'data.manifests=["{manifest}"]', f'data.cache="{out / "features"}"')
    began, processor = time.monotonic(), time.process_time()
    checkpoint = fit(load_recipe(ROOT / "recipes" / "shapes" / "recipe.toml", overrides=settings), out / "run")
    minutes = (time.monotonic() - began) / 60, (time.process_time() - processor) / 60
    print(f"trained in {minutes[0]:.0f} minutes ({minutes[1]:.0f} of processor time)")
    right = exact(Captioner.load(checkpoint), [clip for clip in read_manifest(manifest) if clip.split == "test"])
    every = [is_right for group in right.values() for is_right in group]
    for name, group in sorted(right.items()):
        print(f"combinations {name}: {sum(group)} of {len(group)} exact")
    print(f"all: {100 * sum(every) / len(every):.1f} % exact (wanted: 95 %)")


if __name__ == "__main__":
    main()
