"""The manual pages say what ``--help`` says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from captioner.cli import main

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
FOLDER = REFERENCE / "cli"


def test_the_pages_are_current() -> None:
    pages = runpy.run_path(str(REFERENCE / "generate.py"))["pages"]()
    assert {p.name for p in FOLDER.glob("*.md")} == set(pages)
    for name, text in pages.items():
        same = (FOLDER / name).read_text(encoding="utf-8") == text
        assert same, f"{name} is old: run python docs/reference/generate.py"


@pytest.mark.parametrize(
    "command", ["caption", "actions", "anomalies", "train", "search", "features", "probe", "info", "doctor"]
)
def test_every_option_is_on_its_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    page = (FOLDER / f"{command}.md").read_text(encoding="utf-8")
    words = {w.strip("[],") for w in capsys.readouterr().out.split() if w.strip("[],").startswith("--")}
    missing = {w for w in words if f"`{w}" not in page} - {"--help"}
    assert not missing
