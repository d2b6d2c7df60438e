"""Recognition of actions, from rendered clips whose label is the order of their frames to results and a report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner import Recognizer, VideoConfig
from captioner.actions.checkpoint import load_recognizer
from captioner.actions.config import HeadConfig
from captioner.actions.network import ActionHead, probabilities
from captioner.cli import main
from captioner.errors import CheckpointError, ConfigError, DataError
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.training.config import DataConfig, Recipe, TaskConfig, TrainConfig
from captioner.training.train import fit
from captioner.video.frames import sample_frames
from captioner.vision.config import EncoderConfig
from eval.__main__ import main as evaluate
from eval.scores.recognition import Recognition, average_precision
from tests.tiny import tiny_checkpoint, tiny_cnn


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that move left or right, each also backwards."""
    from data.order import order

    folder = tmp_path_factory.mktemp("order")
    clips = [c for c in order(folder, train=180, val=36, test=72, size=64) if "moves" in c.labels[0]]
    write_manifest(folder / "manifest.jsonl", clips)
    return folder / "manifest.jsonl"


def recipe_for(manifest: Path, folder: Path, **head: object) -> Recipe:
    return Recipe(
        task=TaskConfig(kind="actions"),
        data=DataConfig(manifests=(str(manifest),), cache=str(folder / "features")),
        video=VideoConfig(frames=6, size=48),
        encoder=EncoderConfig(source=str(tiny_cnn(folder / "cnn")), weights="random", grid=4),
        head=HeadConfig(hidden=32, dropout=0.0, **head),  # type: ignore[arg-type]
        train=TrainConfig(
            epochs=20,
            batch_size=10,
            learning_rate=5e-3,
            train_encoder=True,
            encoder_learning_rate=3e-3,
            label_smoothing=0,
            ema=0.9,
            threads=1,
        ),
    )


@pytest.fixture(scope="module")
def trained(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("actions")
    return fit(recipe_for(manifest, folder), folder / "run", quiet=True)


def accuracy(checkpoint: Path, manifest: Path) -> float:
    recognizer = Recognizer.load(checkpoint)
    clips = read_manifest(manifest, split="test")
    return sum(recognizer.actions(c.path)[0].label == c.labels[0] for c in clips if c.path) / len(clips)


def test_a_recurrent_network_tells_the_order_of_frames(trained: Path, manifest: Path) -> None:
    assert accuracy(trained, manifest) >= 0.9


def test_mean_pooling_cannot(manifest: Path, tmp_path: Path) -> None:
    """Each clip's frames are those of another clip in the other order, which has the other label."""
    checkpoint = fit(recipe_for(manifest, tmp_path, temporal="none"), tmp_path / "run", quiet=True)
    assert 0.3 <= accuracy(checkpoint, manifest) <= 0.7


def test_frames_in_another_order_have_the_same_mean() -> None:
    torch.manual_seed(0)
    head = ActionHead(HeadConfig(hidden=8, temporal="none"), width=6, classes=3).eval()
    features, mask = torch.randn(1, 5, 4, 6), torch.ones(1, 5, dtype=torch.bool)
    torch.testing.assert_close(head(features, mask).mean(1), head(features.flip(1), mask).mean(1))


def test_probabilities_are_those_of_the_temperature() -> None:
    logits = torch.tensor([[2.0, 0.0]])
    torch.testing.assert_close(
        probabilities(logits, multi_label=False, temperature=2.0)[0, 0], torch.tensor(1.0).sigmoid()
    )
    torch.testing.assert_close(
        probabilities(logits, multi_label=True, temperature=2.0)[0], torch.tensor([1.0, 0.0]).sigmoid()
    )


def test_a_padded_batch_says_the_same_as_one_clip(trained: Path, manifest: Path) -> None:
    recognizer = Recognizer.load(trained)
    clips = read_manifest(manifest, split="test")[:2]
    features = [recognizer.encode(sample_frames(clip.path, recognizer.video)) for clip in clips if clip.path]
    short = features[1][:3]
    both, over_time = recognizer.probabilities([features[0], short])
    np.testing.assert_allclose(both[1], recognizer.probabilities([short])[0][0], atol=1e-5)
    assert over_time[1].shape == (3, 2)


def test_the_command_line(trained: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [str(clip.path) for clip in read_manifest(manifest, split="test")[:3]]
    out = tmp_path / "actions.jsonl"
    assert main(["actions", *clips, "-m", str(trained), "-o", str(out), "--words", "--top", "2", "-q"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["path"] for row in rows] == clips
    for row in rows:
        assert row["caption"] in ("moves left", "moves right")
        assert sum(other["score"] for other in row["alternatives"]) == pytest.approx(1, abs=1e-3)
        assert len(row["words"][0]["attention"]) == len(row["times_seconds"])
    assert main(["actions", clips[0], "-m", str(trained), "--segments", "shots"]) == 0
    assert "moves" in capsys.readouterr().out
    assert main(["actions", clips[0], "-m", str(trained), "--top", "9"]) == 2
    assert "knows 2 actions" in capsys.readouterr().err


def test_the_wrong_kind_of_checkpoint_is_told(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = tiny_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="is a checkpoint for captions, not for actions"):
        load_recognizer(captions)
    assert main(["caption", "a.mp4", "-m", str(trained)]) == 1
    assert "is a checkpoint for actions, not for captions" in capsys.readouterr().err


def test_the_report(trained: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["run", str(trained), str(manifest), "--out", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["measures"]["top-1"]["score"] >= 0.9
    assert np.array(report["confusion"]).sum() == report["clips"] == 24
    assert "moves left" in (tmp_path / "report" / "report.html").read_text()
    assert "top-1" in capsys.readouterr().out


def test_a_training_goes_on_where_it_was_stopped(manifest: Path, tmp_path: Path) -> None:
    recipe = recipe_for(manifest, tmp_path)
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, epochs=2))
    whole = fit(recipe, tmp_path / "whole", quiet=True)
    again = fit(recipe, tmp_path / "whole", quiet=True)  # finished: nothing changes
    assert load_recognizer(whole).fingerprint == load_recognizer(again).fingerprint


def labelled(folder: Path, manifest: Path, *labels: tuple[str, tuple[str, ...]]) -> Path:
    clips = read_manifest(manifest)
    rows = [Clip(id=str(i), path=clips[i].path, split=split, labels=names) for i, (split, names) in enumerate(labels)]
    write_manifest(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([("train", ("a",)), ("train", ("a",)), ("val", ("a",))], "all clips have the one label 'a'"),
        ([("train", ("a",)), ("train", ("b",)), ("val", ("c",))], "without a training clip: c"),
        ([("train", ("a", "b")), ("train", ("b",)), ("val", ("a",))], "set head.multi_label = true"),
        ([("train", ("a",)), ("train", ("b",))], "nothing to validate on"),
    ],
)
def test_labels_that_cannot_be_learned(
    labels: list[tuple[str, tuple[str, ...]]], message: str, manifest: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        fit(recipe_for(labelled(tmp_path, manifest, *labels), tmp_path), tmp_path / "run", quiet=True)


def test_several_labels_a_clip(manifest: Path, tmp_path: Path) -> None:
    path = labelled(tmp_path, manifest, ("train", ("a", "b")), ("train", ("b",)), ("val", ("a", "b")))
    recipe = recipe_for(path, tmp_path, multi_label=True)
    recipe = dataclasses.replace(
        recipe, task=TaskConfig(kind="actions", class_weights=True), train=dataclasses.replace(recipe.train, epochs=1)
    )
    found = Recognizer.load(fit(recipe, tmp_path / "run", quiet=True)).actions(read_manifest(path)[0].path or "")
    assert {action.label for action in found} == {"a", "b"}


def test_settings_of_another_task_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"settings in \[head\]"):
        Recipe(head=HeadConfig(hidden=8))


def test_average_precision_is_that_of_the_definition() -> None:
    scores, true = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(scores, true) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_measures_of_a_small_case() -> None:
    found = np.array([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.6, 0.3, 0.1]])
    true = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    recognition = Recognition(("a", "b", "c"), found, true)
    assert recognition.measures["top-1"] == pytest.approx(1 / 3)
    assert recognition.measures["top-5"] == 1
    assert recognition.measures["per class"] == pytest.approx((1 / 2 + 0) / 2)
    assert recognition.confusion().tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    interval = recognition.intervals()["top-1"]
    assert interval.low <= 1 / 3 <= interval.high


def test_info_tells_what_a_recogniser_knows(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(trained), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["actions"] == ["moves left", "moves right"] and told["trained_on"]["clips"] == 60
