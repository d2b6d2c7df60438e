"""The pages that the code knows: commands from their parsers, settings from their dataclasses.

``python docs/reference/generate.py`` writes them beside this file.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.cli import make_parser
from captioner.training.config import Recipe

HERE = Path(__file__).parent


def pages() -> dict[str, str]:
    """The text of each page by its path beside this file."""
    return {"settings.md": settings_page(), **{f"cli/{name}": text for name, text in command_pages().items()}}


def command_pages() -> dict[str, str]:
    """A page for each command, and their index."""
    parser = make_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    about = {action.dest: action.help for action in commands._choices_actions}
    index = ["# Commands", "", parser.description or "", ""]
    index += [f"- [captioner {name}]({name}.md): {text}" for name, text in about.items()]
    index += ["", *wrapped(f"{capital(parser.epilog or '')}."), "", MADE, ""]
    found = {"README.md": "\n".join(index)}
    for name, command in commands.choices.items():
        lines = list(page(command)) if not command.commands else [f"# {command.prog}", "", command.description, ""]
        for part in command.commands.values():
            lines += page(part)
        found[f"{name}.md"] = "\n".join(lines)
    return found


MADE = "`python docs/reference/generate.py` writes these pages."


def page(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The lines of one command's page."""
    positional = [a for a in parser._actions if not a.option_strings]
    yield f"# {parser.prog}"
    yield ""
    yield f"    {parser.prog} [OPTIONS] {' '.join(usage(a) for a in positional)}".rstrip()
    yield ""
    yield parser.description or ""
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if not isinstance(a, argparse._HelpAction)]
        if not actions:
            continue
        yield ""
        yield f"## {capital(group.title or '')}"
        yield ""
        for action in actions:
            yield from wrapped(f"- {names(action)}: {parser._get_formatter()._expand_help(action)}")
    yield ""


def usage(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}.get(str(action.nargs), name)


def names(action: argparse.Action) -> str:
    """``-o FILE``, ``--output FILE``; an argument by its name."""
    if action.nargs == 0:
        value = ""
    elif action.choices:
        value = " " + "|".join(map(str, action.choices))
    else:
        value = f" {action.metavar or action.dest.upper()}"
    if not action.option_strings:
        return f"`{value.strip()}`"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def settings_page() -> str:
    """Every table of a recipe, then the settings of an anomaly detector."""
    lines = ["# Settings", "", *wrapped(SETTINGS), ""]
    hints = typing.get_type_hints(Recipe)
    tables = {name: hints[name] for name in (field.name for field in dataclasses.fields(Recipe))}
    for title, config in ({f"[{name}]": kind for name, kind in tables.items()} | DETECTION).items():
        lines += [f"## {title}", "", *wrapped(plain(inspect.getdoc(config) or "")), ""]
        for field, value, text in settings(config):
            lines += wrapped(f"- `{field} = {value}`" + (f": {text}" if text else ""))
        lines.append("")
    return "\n".join([*lines, MADE, ""])


SETTINGS = """A recipe is a TOML file with a table for each heading in brackets. Each line below shows the default. A
checkpoint's `config.json` uses the same names. `captioner train --set SECTION.KEY=VALUE` overrides a setting for one
run. Unknown keys and values out of range are errors."""
DETECTION = {"Anomalies: footage": FootageConfig, "Anomalies: detector": DetectorConfig}


def settings(config: type) -> Iterator[tuple[str, str, str]]:
    """The name, the default and the meaning of each field."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts: dict[str, str] = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            texts[node.target.id] = str(after.value.value) if said else ""  # type: ignore[union-attr]
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        text = plain(field.metadata.get("help", "") or texts.get(field.name, ""))
        allowed = typing.get_args(hints[field.name]) if typing.get_origin(hints[field.name]) is typing.Literal else ()
        choice = f"one of {', '.join(f'`{a}`' for a in allowed)}. " if allowed else ""
        yield field.name, toml(field.default), (choice + text).strip()


def toml(value: Any) -> str:
    """A default in TOML's spelling."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else str(value)


def plain(text: str) -> str:
    """A docstring in one line of Markdown."""
    return " ".join(text.split()).replace("``", "`")


def capital(text: str) -> str:
    """The first letter as a capital, the others as they are."""
    return text[:1].upper() + text[1:]


def wrapped(text: str) -> list[str]:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.wrap(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    for file, text in pages().items():
        (HERE / file).write_text(text, encoding="utf-8")
