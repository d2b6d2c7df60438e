"""Deletion and insertion curves: what is hidden, what is averaged, and a run on a real clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from captioner.manifest import Clip, write_manifest
from eval.__main__ import main
from eval.commands.faithful import DRAWS, SHARES, WAYS, _by_way, _hidden, summarise
from tests.media import render_clip, render_text
from tests.tiny import tiny_checkpoint


def test_what_is_hidden() -> None:
    order = np.array([3, 1, 0, 2, 5, 4, 7, 6])  # most attended first
    hidden = _hidden(order, np.random.default_rng(0))
    assert hidden.shape == (2 * len(SHARES) * (1 + DRAWS), 8)
    deletion, quarter = hidden[: len(SHARES)], SHARES.index(1 / 4)
    assert set(np.flatnonzero(deletion[quarter])) == {3, 1}
    insertion = hidden[len(SHARES) * (1 + DRAWS) :][: len(SHARES)]
    assert set(np.flatnonzero(~insertion[quarter])) == {3, 1}
    assert (hidden.sum(axis=1) > 0).all() and (~hidden).any(axis=1).all()  # something is always hidden, and shown


def test_random_draws_are_averaged() -> None:
    falls = np.concatenate([np.full(len(SHARES) * (DRAWS if "random" in way else 1), i) for i, way in enumerate(WAYS)])
    np.testing.assert_array_equal(_by_way(falls.astype(float)), np.arange(len(WAYS))[:, None].repeat(len(SHARES), 1))


def test_words_count_the_same_and_the_interval_holds_the_mean() -> None:
    one = np.ones((1, len(WAYS), len(SHARES)))
    curves = summarise([one * 4, np.concatenate([one, one, one])], seed=0)
    assert curves[0].area == pytest.approx((4 + 3) / 4)
    assert curves[0].low <= curves[0].area <= curves[0].high


def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [
        Clip(id="a", path=render_clip(tmp_path / "a.mp4"), split="test", captions=("x",)),
        Clip(id="b", path=render_text(tmp_path / "b.mp4"), split="test", captions=("x",)),
    ]
    write_manifest(tmp_path / "manifest.jsonl", clips)
    checkpoint = tiny_checkpoint(tmp_path, grid=2)
    out = tmp_path / "f.json"
    assert (
        main(["faithful", str(checkpoint), str(tmp_path / "manifest.jsonl"), "--json", str(out)]) == 1
    )  # b is no video
    captured = capsys.readouterr()
    assert "Hiding the quarter that a word attended to most" in captured.out and "b: " in captured.err
    assert [curve["way"] for curve in json.loads(out.read_text())["curves"]] == list(WAYS)
    assert main(["faithful", str(checkpoint), str(tmp_path / "manifest.jsonl"), "--limit", "0"]) == 1
