"""Averages of checkpoints: exact in the weights, unchanged where nothing differs, refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from captioner.checkpoint.captioning import load_checkpoint, save_checkpoint
from captioner.cli import main
from captioner.errors import CheckpointError
from captioner.language.config import SearchConfig
from captioner.training.soup import _difference, _mean, average
from captioner.video.config import VideoConfig
from captioner.vision.detector import ActionDetector
from tests.tiny import tiny_checkpoint, tiny_model


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two checkpoints with one CNN, whose decoders differ."""
    first = tiny_checkpoint(tmp_path / "first")
    model, tokenizer = tiny_model(tmp_path / "cnn")
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    trained_on = {"clips": 7, "validation": {"cider": 0.5}, "chosen_at": "captions 3"}
    video, search = VideoConfig(frames=4, size=32), SearchConfig(beams=2, max_length=8)
    second = tmp_path / "second"
    save_checkpoint(second, model=model, tokenizer=tokenizer, video=video, search=search, trained_on=trained_on)
    return first, second


def test_the_mean_by_weight(pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*map(str, pair), "--weights", "3", "1", "-o", str(tmp_path / "soup")]
    assert main(["average", *arguments]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "soup")
    one, other, soup = (load_checkpoint(folder) for folder in (*pair, tmp_path / "soup"))
    for name, mine in one.model.state_dict().items():
        its, mixed = other.model.state_dict()[name], soup.model.state_dict()[name]
        if name.startswith("encoder."):
            assert torch.equal(mixed, mine), name  # bit for bit: a package's weights stay the package's
        else:
            torch.testing.assert_close(mixed, 0.75 * mine + 0.25 * its, rtol=1e-3, atol=1e-3)
    assert soup.search.beams == 2 and soup.calibration is None
    assert soup.trained_on == {
        "clips": 7,
        "average_of": [
            {"checkpoint": one.fingerprint, "weight": 0.75},
            {"checkpoint": other.fingerprint, "weight": 0.25},
        ],
    }
    assert main(["average", *arguments]) == 1
    assert f"{tmp_path / 'soup'} exists; --overwrite replaces it" in capsys.readouterr().err


def test_three_alike_are_the_same_again(pair: tuple[Path, Path], tmp_path: Path) -> None:
    average([pair[0]] * 3, tmp_path / "soup")
    assert (tmp_path / "soup" / "model.safetensors").read_bytes() == (pair[0] / "model.safetensors").read_bytes()


def test_notices_and_licences_go_along(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for folder, text in zip(pair, ("weights of one", "weights of another"), strict=True):
        (folder / "NOTICE").write_text(text)
        (folder / "LICENSE-APACHE").write_text("the licence of both")
    average(pair, tmp_path / "soup")
    found = {path.name: path.read_text() for path in (tmp_path / "soup").glob("[LN]*")}
    assert found == {
        "NOTICE": "weights of one",
        "NOTICE-2": "weights of another",
        "LICENSE-APACHE": "the licence of both",
    }


def test_tables_of_bits_are_united() -> None:
    tables = [torch.tensor([1, 2, 0], dtype=torch.uint8), torch.tensor([1, 4, 8], dtype=torch.uint8)]
    assert _mean(tables, [0.5, 0.5]).tolist() == [1, 6, 8]


def test_what_cannot_be_averaged_is_said(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for weights in (["1"], ["1", "-1"], ["0", "0"], ["nan", "1"], ["1", "nan"], ["inf", "1"]):
        assert main(["average", *map(str, pair), "--weights", *weights, "-o", str(tmp_path / "soup")]) == 2
        assert "for 2 checkpoints; give each one number, none below 0" in capsys.readouterr().err
    other = tiny_checkpoint(tmp_path / "other", grid=2)
    with pytest.raises(CheckpointError, match="cannot be averaged: they differ in the CNN"):
        average([pair[0], other], tmp_path / "soup")
    vocabulary = json.loads((pair[1] / "config.json").read_text())
    vocabulary["video"]["frames"] = 8
    (pair[1] / "config.json").write_text(json.dumps(vocabulary))
    with pytest.raises(CheckpointError, match="they differ in the frames"):
        average(pair, tmp_path / "soup")
    assert not (tmp_path / "soup").exists()


def test_detectors_of_other_actions_are_not_averaged(pair: tuple[Path, Path]) -> None:
    one, other = map(load_checkpoint, pair)
    for checkpoint, labels in ((one, ["riding a horse"]), (other, ["playing violin"])):
        checkpoint.model.actions = ActionDetector(labels, width=checkpoint.model.encoder.width)
    assert _difference(one, other) == "the actions of the detector"
