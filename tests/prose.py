"""Sentences of the project's prose: docs pages, help texts, docstrings and the page's strings."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("captioner", "data", "demo", "eval")
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_CODE = re.compile(r"``[^`]+``|`[^`]+`|\{[^{}]*\}|https?://\S+")
_SOURCE = re.compile(r"\([^()]*\b(?:19|20)\d\d\b[^()]*\)")
_END = re.compile(r"(?<=[.!?])[)\"'”*]*\s+(?=[A-Z0-9\"'“*(<-])")
_WORD = re.compile(r"[^\W\d_]")


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text: its paragraphs and list items, each cut at full stops before a capital or a digit."""
    text = _SOURCE.sub("", text.replace("et al.", "et al"))  # a reference to a paper is no part of the sentence
    for block in re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.)\s", text):
        for sentence in _END.split(" ".join(_CODE.sub("X", _LINK.sub(r"\1", block)).split())):
            if sentence:
                yield sentence


def words(sentence: str) -> int:
    """How many of its words hold a letter; a piece of code is one word."""
    return sum(bool(_WORD.search(word)) for word in sentence.split())


def page_text(page: str) -> str:
    """A Markdown page without its code; each cell of a table is a paragraph."""
    kept, fenced = [], False
    for line in page.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith(("    ", ":::")):
            kept.append("")
        elif line.startswith("|"):
            kept += [cell for part in re.split(r"(?<!\\)\|", line) for cell in (part, "")]
        else:
            kept.append(re.sub(r"^#+ (.*)", r"\n\1\n", line))
    return "\n".join(kept)


def help_texts(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """The texts of a command and of the commands below it, each with the command's name."""
    yield from ((parser.prog, text) for text in (parser.description, parser.epilog) if text)
    for action in parser._actions:
        if action.help and action.help != argparse.SUPPRESS:
            yield f"{parser.prog} {'/'.join(action.option_strings) or action.dest}", action.help
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from help_texts(below)


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """The docstrings of a module's public names and of their settings, each with its place."""
    where = str(path.relative_to(ROOT))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if text := ast.get_docstring(tree):
        yield where, page_text(text)
    yield from _below(tree, where)


def _below(node: ast.Module | ast.ClassDef, where: str) -> Iterator[tuple[str, str]]:
    for before, child in zip([None, *node.body], node.body, strict=False):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if child.name.startswith("_") and child.name != "__init__":
                continue
            if text := ast.get_docstring(child):
                yield f"{where}:{child.lineno} {child.name}", page_text(text)
            if isinstance(child, ast.ClassDef):
                yield from _below(child, where)
        elif isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(child, ast.Expr):
            yield f"{where}:{child.lineno}", page_text(inspect.cleandoc(str(getattr(child.value, "value", ""))))


def strings(path: Path) -> Iterator[tuple[str, str]]:
    """Every string of a module but its docstrings, each with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
