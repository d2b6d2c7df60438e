"""What is fitted once, before the decoder is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.errors import ConfigError, DataError
from captioner.language.config import DecoderConfig
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.model import CaptionModel
from captioner.training.config import DataConfig, Recipe
from captioner.training.corpus import Corpus, rendered_pictures
from captioner.training.grounding import learn_rendered
from captioner.video.config import VideoConfig
from tests.media import render_image
from tests.tiny import tiny_model


def test_rendered_pictures_are_told_from_clips(tmp_path: Path) -> None:
    """Their features come from files, through the cache."""
    encoder = tiny_model(tmp_path / "cnn")[0].encoder
    model = CaptionModel(encoder, DecoderConfig(embed=8, hidden=8, attention=8, rendered=True), vocabulary=10)
    paths = [render_image(tmp_path / f"{n}.png") for n in range(2)]
    write_manifest(tmp_path / "manifest.jsonl", [Clip(id=str(n), path=p, split="train") for n, p in enumerate(paths)])
    data = DataConfig(rendered=(str(tmp_path / "manifest.jsonl"),), cache=str(tmp_path / "cache"))
    recipe, video = Recipe(data=data, decoder=DecoderConfig(rendered=True)), VideoConfig(frames=4, size=32)
    pictures = rendered_pictures(recipe, encoder, video=video)
    assert [p.shape for p in pictures] == [(1, 1, encoder.width)] * 2
    rng = np.random.default_rng(0)
    clips = [pictures[0] + rng.normal(2, 1, (4, 1, encoder.width)).astype(np.float32) for _ in range(20)]
    corpus = Corpus(clips=[], arrays=clips, repeat=[], views=[])
    learn_rendered(model, corpus, pictures * 5)
    for arrays, rendered in ((clips, False), (pictures, True)):
        for array in arrays:
            seen = model.observe(torch.from_numpy(array).float()[None], torch.ones(1, len(array), dtype=torch.bool))
            assert seen.rendered_probs is not None and (seen.rendered_probs.item() > 0.5) == rendered


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    encoder = tiny_model(tmp_path / "cnn")[0].encoder
    (tmp_path / "a.png").write_text("no picture")
    write_manifest(tmp_path / "manifest.jsonl", [Clip(id="a", path=tmp_path / "a.png", split="train")])
    assert len(read_manifest(tmp_path / "manifest.jsonl")) == 1
    data = DataConfig(rendered=(str(tmp_path / "manifest.jsonl"),), cache=str(tmp_path / "cache"))
    recipe = Recipe(data=data, decoder=DecoderConfig(rendered=True))
    with pytest.raises(DataError, match=r"1 pictures of data.rendered cannot be used; the first: .*a\.png"):
        rendered_pictures(recipe, encoder, video=VideoConfig(frames=4, size=32))


def test_pictures_and_the_detector_come_together() -> None:
    with pytest.raises(ConfigError, match="set both or neither"):
        Recipe(decoder=DecoderConfig(rendered=True))
    with pytest.raises(ConfigError, match="set both or neither"):
        replace(Recipe(), data=DataConfig(rendered=("pictures.jsonl",)))
