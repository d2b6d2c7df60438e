"""The manual pages of the commands, from what ``--help`` prints: ``python docs/reference/generate.py`` writes them."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from pathlib import Path

from captioner.cli import make_parser

HERE = Path(__file__).parent / "cli"


def pages() -> dict[str, str]:
    """A page for each command, and their index, by file name."""
    parser = make_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    about = {action.dest: action.help for action in commands._choices_actions}
    index = ["# Commands", "", parser.description or "", ""]
    index += [f"- [captioner {name}]({name}.md): {text}" for name, text in about.items()]
    index += ["", *wrapped(f"{capital(parser.epilog or '')}."), "", MADE, ""]
    found = {"README.md": "\n".join(index)}
    for name, command in commands.choices.items():
        known = set() if name == "caption" else described(commands.choices["caption"])
        head = [f"# {command.prog}", "", command.description, ""]
        lines = head if command.commands else list(page(command, known))
        for part in command.commands.values():
            lines += page(part, set())
        found[f"{name}.md"] = "\n".join(lines)
    return found


MADE = "`python docs/reference/generate.py` writes these pages."


def described(parser: argparse.ArgumentParser) -> set[tuple[str, str]]:
    """The options of a command, each with its help."""
    return {(names(action), action.help or "") for action in parser._actions if action.option_strings}


def page(parser: argparse.ArgumentParser, known: set[tuple[str, str]]) -> Iterator[str]:
    """The lines of one command's page; options and groups that are ``known`` from captioner caption are only named."""
    positional = [a for a in parser._actions if not a.option_strings]
    yield f"# {parser.prog}"
    yield ""
    yield f"    {parser.prog} [OPTIONS] {' '.join(usage(a) for a in positional)}".rstrip()
    yield ""
    yield parser.description or ""
    shared: list[str] = []
    alike: list[str] = []
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if not isinstance(a, argparse._HelpAction)]
        if not actions:
            continue
        new = [action for action in actions if (names(action), action.help or "") not in known]
        if not new and group not in parser._action_groups[:2]:
            shared.append((group.title or "").partition(" (")[0])
            continue
        alike += [action.option_strings[-1] for action in actions if action not in new]
        if not new:
            continue
        yield ""
        yield f"## {capital(group.title or '')}"
        yield ""
        for action in new:
            yield from wrapped(f"- {names(action)}: {parser._get_formatter()._expand_help(action)}")
    if shared:
        yield ""
        yield f"[captioner caption](caption.md) has the options for {', '.join(shared)} too."
    if alike:
        yield ""
        yield from wrapped(f"As in [captioner caption](caption.md): {', '.join(f'`{name}`' for name in alike)}.")
    yield ""


def usage(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}.get(str(action.nargs), name)


def names(action: argparse.Action) -> str:
    """``-o``, ``--output FILE``; an argument by its name."""
    if action.nargs == 0:
        value = ""
    elif action.choices:
        value = " " + "|".join(map(str, action.choices))
    else:
        value = f" {action.metavar or action.dest.upper()}"
    if not action.option_strings:
        return f"`{value.strip()}`"
    *short, long = action.option_strings
    return ", ".join([*(f"`{option}`" for option in short), f"`{long}{value}`"])


def capital(text: str) -> str:
    """The first letter as a capital, the others as they are."""
    return text[:1].upper() + text[1:]


def wrapped(text: str) -> list[str]:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.wrap(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    for file, text in pages().items():
        (HERE / file).write_text(text, encoding="utf-8")
