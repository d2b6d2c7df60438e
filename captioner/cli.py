"""The command line: parse, call, report. Results on stdout, everything else on stderr, exit 0, 1, 2 or 130.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from captioner import __version__
from captioner.commands import (
    actions,
    anomalies,
    average,
    burn,
    caption,
    doctor,
    export,
    find,
    index,
    inspection,
    merge,
    push,
    sample,
    search,
    training,
)
from captioner.commands.examples import with_examples
from captioner.errors import nearest
from captioner.io.program import EXIT, TORCH_BYTES, run_program

_LIGHT = ("probe", "sample", "burn", "find", "merge")
"""Commands without torch."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    return run_program("captioner", lambda: _parse(given), lasting=arguments is None)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser()
    arguments = _asking_for_help(arguments)
    if mistake := _mistaken_name(arguments, parser.commands):
        parser.error(mistake)
    options: argparse.Namespace = parser.parse_args(arguments)
    return options


def _asking_for_help(arguments: list[str]) -> list[str]:
    """``captioner`` alone, and ``captioner help COMMAND``, as argparse spells them."""
    if not arguments or arguments[0] == "help":
        return [*arguments[1:], "--help"]
    return arguments


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest name of an option and the command's own usage."""

    commands: dict[str, Parser]
    """By name; of a command that has commands of its own, theirs."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.commands = {}

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, extra = self.parse_known_args(args, namespace)
        if extra:
            command = self.commands.get(getattr(options, "command", ""), self)
            command = command.commands.get(getattr(options, "part", ""), command)
            command._append(extra, options)
        return options

    def shorten_usage(self) -> None:
        """Name the arguments alone: all options stand below, after the examples."""
        for part in self.commands.values():
            part.shorten_usage()
        if not self.commands:
            places = (
                self._get_formatter()._format_args(a, str(a.metavar or a.dest)) for a in self._get_positional_actions()
            )
            self.usage = " ".join([self.prog, "[OPTIONS]", *places]).replace("%", "%%")

    def _append(self, arguments: list[str], options: Any) -> None:
        """Files that stand after options: argparse takes only the first run of them (``a.mp4 -m DIR b.mp4``)."""
        end = arguments.index("--") if "--" in arguments else len(arguments)
        files = arguments[:end] + arguments[end + 1 :]
        places = self._get_positional_actions()
        takes_more = bool(places) and places[-1].nargs in ("*", "+")
        wrong = [argument for argument in arguments[:end] if len(argument) > 1 and argument.startswith("-")]
        if wrong or not takes_more:
            self.error(self._unknown((wrong or files or arguments)[0]))
        setattr(options, places[-1].dest, [*getattr(options, places[-1].dest), *files])

    def _unknown(self, argument: str) -> str:
        name = argument.partition("=")[0]
        near = nearest(name, [o for o in self._option_string_actions if o.startswith("--")])
        meant = f", did you mean {near}?" if near else ""
        usage = " ".join(
            [self.prog, "[OPTIONS]", *(f"[{a.metavar or a.dest}]" for a in self._get_positional_actions())]
        )
        return f"unknown argument {argument}{meant} (usage: {usage})"


def _mistaken_name(arguments: Sequence[str], commands: Iterable[str]) -> str:
    """What is wrong with a file's name standing where a command or an option does; empty if nothing is."""
    for argument in arguments:
        if argument == "--":
            break
        if len(argument) > 1 and argument.startswith("-") and os.path.lexists(argument):
            return f"{argument} would be taken for an option; for the file of that name write ./{argument}"
    first = arguments[0] if arguments else "-"
    if first.startswith("-") or first in commands:
        return ""
    if os.path.lexists(first) or Path(first).suffix:
        return f"{first} is not a command, did you mean: captioner caption {first}"
    near = nearest(first, commands)
    meant = f", did you mean {near}?" if near else ""
    return f"{first} is not a command{meant} (commands: {', '.join(commands)})"


def _formatter(prog: str) -> argparse.HelpFormatter:
    formatter = argparse.HelpFormatter(prog)
    formatter._action_max_length = 13  # argparse forgets the indent of commands, and breaks the line after anomalies
    return formatter


def make_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="captioner",
        description="Turn videos into sentences, offline, on an ordinary machine.",
        epilog=EXIT + "; CAPTIONER_DEBUG=1 shows tracebacks",
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"captioner {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, about, add, run in (
        ("caption", "caption video files", caption.add, caption.run),
        ("actions", "recognise actions in video files", actions.add, actions.run),
        ("anomalies", "detect anomalies in footage", anomalies.add, anomalies.run),
        ("merge", "merge the rows of several runs", merge.add, merge.run),
        ("burn", "draw captions into a video", burn.add, burn.run),
        ("index", "index video files for captioner find", index.add, index.run),
        ("find", "find clips in an index by what they show", find.add, find.run),
        (
            "train",
            "train a captioner, an action classifier or a retriever from a recipe",
            training.add_train,
            training.train,
        ),
        ("features", "fill the feature cache of a recipe", training.add_recipe, training.features),
        ("average", "average the weights of checkpoints", average.add, average.run),
        ("search", "search for settings of a recipe", search.add, search.run),
        (
            "probe",
            "show the streams and the length of a video file",
            inspection.add_probe,
            inspection.probe,
        ),
        ("info", "show the record of a checkpoint", inspection.add_info, inspection.info),
        ("export", "export a captioner to ONNX, for devices without torch", export.add, export.run),
        ("push", "push a checkpoint to the Hugging Face hub", push.add, push.run),
        ("sample", "write a sample clip of free photographs", sample.add, sample.run),
        ("doctor", "check the installation and caption a clip", doctor.add, doctor.run),
    ):
        told = {
            module.__name__.rpartition(".")[2]: module.ABOUT
            for module in (caption, actions, anomalies, index, find, merge, average, burn, export, push)
        }
        description = with_examples(name, told.get(name, about.capitalize() + "."))
        command = commands.add_parser(
            name,
            help=about,
            description=description,
            epilog=EXIT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(command)
        command.shorten_usage()
        command.set_defaults(run=run, least_bytes=0 if name in _LIGHT else TORCH_BYTES)
    parser.commands = dict(commands.choices)
    return parser
