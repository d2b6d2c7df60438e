"""``captioner train`` and ``captioner features``: learning from a recipe."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from captioner.errors import about_file
from captioner.io.status import Status, announce


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """What every command takes that learns from a recipe."""
    parser.add_argument("recipe", metavar="RECIPE", help="recipe, a TOML file (see recipes/)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override a setting of the recipe; repeatable",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def add_train(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument("-o", "--out", metavar="DIR", help="run folder (default: runs/NAME); an unfinished run resumes")


def train(options: argparse.Namespace) -> int:
    from captioner.io.platform import keep_freed_memory
    from captioner.training.config import load_recipe

    recipe = load_recipe(options.recipe, overrides=tuple(options.set))
    announce(f"training by {options.recipe}", quiet=options.quiet)
    from captioner.training.train import fit

    if recipe.train.train_encoder:
        keep_freed_memory()
    out = Path(options.out) if options.out else Path("runs") / Path(options.recipe).stem
    status = Status(quiet=options.quiet)
    checkpoint = fit(recipe, out, status=status)
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun, or alone
    if recipe.task.kind == "captions" and recipe.train.start and not options.quiet and is_first:
        from captioner.training.changes import compare, told

        for line in told(compare(recipe, checkpoint, status=status)):
            status.say(line)
    status.clear()
    print(checkpoint)
    return 0


def features(options: argparse.Namespace) -> int:
    from captioner.training.config import load_recipe

    recipe = load_recipe(options.recipe, overrides=tuple(options.set))
    announce(f"features of the clips of {options.recipe}", quiet=options.quiet)
    from captioner.training.corpus import training_clips, validation_sets
    from captioner.training.features import FeatureCache
    from captioner.training.log import TrainingLog
    from captioner.training.start import cached_encoder, load_start

    log = TrainingLog(None, status=Status(quiet=options.quiet))
    targets = recipe.task.targets
    clips = training_clips(recipe.data, targets)[0]
    seen = [clip for group in validation_sets(recipe.data, targets).values() for clip in group]
    start = load_start(recipe)
    cache = FeatureCache(recipe.data.cache, video=start.video, encoder=cached_encoder(recipe, start))
    count = log.counter("features", len(clips) + len(seen))
    failures = cache.fill(clips, views=recipe.data.views, on_clip=count) + cache.fill(seen, on_clip=count)
    for clip, error in failures:
        print(f"captioner: {about_file(str(clip.path), str(error))} [{error.code}]", file=sys.stderr)
    print(cache.folder)
    return 1 if failures else 0
