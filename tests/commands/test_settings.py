"""A setting of the search is said in one place: commands, evaluation and page are made from its field."""

from __future__ import annotations

import argparse
from dataclasses import fields, make_dataclass

import pytest

from captioner.commands import options
from captioner.commands.settings import override
from captioner.config import Slider, setting, settings_of
from captioner.errors import ConfigError
from captioner.language.config import SearchConfig
from eval.commands import run

SHINE = setting(0.0, "how much it shines", metavar="S", low=0, high=1, slider=Slider("Shine", 0, 1, 0.1))
Shining = make_dataclass("Shining", [("shine", float, SHINE)], bases=(SearchConfig,), frozen=True, kw_only=True)


@pytest.mark.parametrize("command", [options, run])
def test_a_new_field_is_an_option(command: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SearchConfig", Shining)
    parser = argparse.ArgumentParser()
    given = [] if command is options else ["default", "m.jsonl", "--out", "o"]
    add = options.add if command is options else run.add_arguments
    renamed = None if command is options else run.RENAMED
    add(parser)
    parsed = parser.parse_args([*given, "--shine", "0.5", "--repeat-word"])
    assert override(Shining(), parsed, renamed=renamed) == Shining(shine=0.5, no_repeat_word=False)
    assert override(Shining(), parser.parse_args(given), renamed=renamed) == Shining()
    assert "how much it shines" in parser.format_help()


def test_a_new_field_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"search.shine is 2; it must be 0 to 1"):
        Shining(shine=2)


def test_a_new_field_with_a_slider_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from demo import engine
    from demo.components import panel

    for module in (engine, panel):
        monkeypatch.setattr(module, "SearchConfig", Shining)
    names = list(engine.sliders())
    assert names[-1] == "shine" and names[0] == "beams"
    chosen = panel.settings("", "beam", *[1.0] * len(names), 8.0, 0, 0)
    assert chosen.search["shine"] == 1.0 and type(chosen.search["beams"]) is int and chosen.frames == 8


def test_every_field_says_what_it_is_for() -> None:
    assert list(settings_of(SearchConfig)) == [field.name for field in fields(SearchConfig)]
