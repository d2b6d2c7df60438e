"""The manual pages say what ``--help`` says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from captioner.cli import main, make_parser

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
FOLDER = REFERENCE / "cli"


def test_the_pages_are_current() -> None:
    pages = runpy.run_path(str(REFERENCE / "generate.py"))["pages"]()
    assert {p.name for p in FOLDER.glob("*.md")} == set(pages)
    for name, text in pages.items():
        same = (FOLDER / name).read_text(encoding="utf-8") == text
        assert same, f"{name} is old: run python docs/reference/generate.py"


@pytest.mark.parametrize("command", make_parser().commands)
def test_the_page_of_a_command_has_the_options_of_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    helped: set[str] = set()
    for part in make_parser().commands[command].commands or [""]:
        with pytest.raises(SystemExit) as stop:
            main([command, *filter(None, [part]), "--help"])
        assert stop.value.code == 0
        helped |= set(re.findall(r"^ +(?:-\w(?: \S+)?, )?(--[\w-]+)", capsys.readouterr().out, re.M))
    page = (FOLDER / f"{command}.md").read_text(encoding="utf-8")
    if shared := re.search(r"\(caption\.md\) has the options for (.+) too", page):
        sections = re.split(r"^## ", (FOLDER / "caption.md").read_text(encoding="utf-8"), flags=re.M)
        titles = tuple(shared.group(1).split(", "))
        page += "".join(text for text in sections if text.lower().startswith(titles))
    alike = re.findall(r"`(--[\w-]+)`", page.partition("As in [captioner caption]")[2])
    assert "--help" in helped
    assert set(alike) | set(re.findall(r"^- (?:`-\w[^`]*`, )?`(--[\w-]+)", page, re.M)) == helped - {"--help"}
