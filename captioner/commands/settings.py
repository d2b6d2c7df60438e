"""Options of a command made from the fields of a settings class, and the settings as the options change them."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from captioner.config import settings_of
from captioner.language.config import SearchConfig

C = TypeVar("C")


def add_settings(
    group: Any,
    config: type,
    *,
    renamed: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    but: Collection[str] = (),
) -> None:
    """An option for each setting, under its own name or the one in ``renamed``; a switch that is on gets ``--no-``.

    ``only`` these settings, all ``but`` these: for groups of options in an order of their own.
    """
    kinds = typing.get_type_hints(config)
    for name, said in settings_of(config).items():
        if name in but or (only is not None and name not in only):
            continue
        dest = (renamed or {}).get(name, name)
        option = dest.replace("_", "-")
        if kinds[name] is bool:  # it is on, and the option turns it off
            option = option.removeprefix("no-") if option.startswith("no-") else f"no-{option}"
            group.add_argument(f"--{option}", dest=dest, action="store_const", const=False, help=said.help)
        elif typing.get_origin(kinds[name]) is typing.Literal:
            group.add_argument(f"--{option}", dest=dest, choices=typing.get_args(kinds[name]), help=said.help)
        else:
            group.add_argument(f"--{option}", dest=dest, type=kinds[name], metavar=said.metavar, help=said.help)


def override(config: C, options: argparse.Namespace, *, renamed: Mapping[str, str] | None = None) -> C:
    """The settings with those that the command line names replaced. Raises ConfigError."""
    names = vars(config)
    named = {name: getattr(options, (renamed or {}).get(name, name), None) for name in names}
    changed = {name: value for name, value in named.items() if value is not None}
    return replace(config, **changed)  # type: ignore[type-var]


def search_settings(search: C, options: argparse.Namespace, *, renamed: Mapping[str, str] | None = None) -> C:
    """The model's settings as the command line changes them; n-best is lowered to the number of beams."""
    if isinstance(search, SearchConfig) and options.beams is not None and options.n_best is None:
        search = replace(search, n_best=min(search.n_best, max(1, options.beams)))
    return override(search, options, renamed=renamed)
