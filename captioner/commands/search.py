"""``captioner search``: settings of a recipe found by trials."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.commands.training import add_recipe
from captioner.errors import UsageError
from captioner.io.status import Status, announce
from captioner.safe.whole import refuse_to_replace, write_whole

if TYPE_CHECKING:
    from captioner.training.config import Recipe
    from captioner.training.trials import Trial

_BEST, _TRIALS = "best.toml", "trials.json"


def add(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument("space", metavar="SPACE", help="search space, TOML of lists and ranges (docs/howto/train.md)")
    parser.add_argument(
        "--trials", type=int, default=30, metavar="N", help="trials in all, earlier ones included (default: 30)"
    )
    parser.add_argument(
        "--sampler", choices=("tpe", "random", "grid"), default="tpe", help="how settings are proposed (default: tpe)"
    )
    parser.add_argument("--no-prune", action="store_true", help="do not stop trials that are below the median")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed of the sampler (default: 0)")
    parser.add_argument(
        "-o", "--out", metavar="DIR", help="search folder (default: runs/search-NAME); an unfinished search resumes"
    )


def run(options: argparse.Namespace) -> int:
    if options.trials < 1:
        raise UsageError(f"--trials is {options.trials}; it must be at least 1")
    announce(f"searching settings of {options.recipe}", quiet=options.quiet)
    from captioner.training.config import load_recipe
    from captioner.training.space import read_space

    recipe = load_recipe(options.recipe, overrides=tuple(options.set))
    space = read_space(options.space, recipe)
    from captioner.training.study import search
    from captioner.training.trials import picture, table

    out = Path(options.out) if options.out else Path("runs") / f"search-{Path(options.recipe).stem}"
    written = [out / name for name in (_BEST, "trials.svg", _TRIALS)]
    refuse_to_replace(written, overwrite=(out / "study.db").exists())  # a search in it goes on, and tells more
    status = Status(quiet=options.quiet)
    trials = search(
        recipe,
        space,
        out,
        trials=options.trials,
        sampler=options.sampler,
        seed=options.seed,
        prune=not options.no_prune,
        status=status,
    )
    texts = (
        _best_recipe(recipe, trials),
        picture(trials),
        json.dumps([asdict(trial) for trial in trials], indent=1) + "\n",
    )
    print(table(trials))
    edited = _is_edited(out, recipe, texts[0])
    for path, text in zip(written, texts, strict=True):
        if edited and path.name == _BEST:
            status.say(f"{path} was edited and stays as it is; delete it and search again for the best recipe")
            continue
        write_whole(path, text, overwrite=True)
        print(path)
    return 0


def _best_recipe(recipe: Recipe, trials: Sequence[Trial]) -> str:
    """As TOML."""
    import tomli_w

    from captioner.training.runstate import plain
    from captioner.training.space import with_settings
    from captioner.training.trials import best_of

    text: str = tomli_w.dumps(plain(with_settings(recipe, best_of(trials).values)))
    return text


def _is_edited(out: Path, recipe: Recipe, new: str) -> bool:
    """Whether the best recipe that is there is neither that of the trials told beside it nor the new one."""
    from captioner.training.trials import Trial

    try:
        told = [Trial(**row) for row in json.loads((out / _TRIALS).read_text(encoding="utf-8"))]
        return (out / _BEST).read_text(encoding="utf-8") not in (new, _best_recipe(recipe, told))
    except FileNotFoundError:
        return False
