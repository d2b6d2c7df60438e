"""What is fitted once, before the decoder is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.errors import ConfigError, DataError
from captioner.language.config import DecoderConfig
from captioner.language.tokenizer import CaptionTokenizer
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.model import CaptionModel
from captioner.training.config import DataConfig, Recipe
from captioner.training.corpus import Corpus, action_labels, detector_clips
from captioner.training.grounding import check_labels, learn_actions, learn_grounding, learn_rendered
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
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
    _, pictures = detector_clips(recipe, encoder, name="rendered", video=video)
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
    with pytest.raises(DataError, match=r"1 clip of data.rendered cannot be used; the first: .*a\.png"):
        detector_clips(recipe, encoder, name="rendered", video=VideoConfig(frames=4, size=32))


def test_actions_are_learned_from_labels_and_from_captions(tmp_path: Path) -> None:
    """Features that point to an action of a label, of captions, of some words of one, or nowhere."""
    encoder = tiny_model(tmp_path / "cnn")[0].encoder
    labels = ("brushing teeth", "riding a horse")
    config = DecoderConfig(embed=8, hidden=8, attention=8, evidence="efficientnet-lite2", grounding=True, actions=True)
    model = CaptionModel(encoder, config, vocabulary=10, actions=labels)
    rng = np.random.default_rng(0)

    def features(place: int) -> np.ndarray:
        array = rng.normal(0, 0.1, (2, 1, encoder.width)).astype(np.float32)
        array[..., place] += 1
        return array

    told = {1: "A woman rides her horse .", 2: "a man and a horse", 3: "a dog runs"}  # 2 says half of it
    clips = [
        Clip(id=str(i), path=None, split="train", captions=(text,)) for i, text in enumerate([*told.values()] * 10)
    ]
    corpus = Corpus(clips=clips, arrays=[features(place) for place in [*told] * 10], repeat=[], views=[])
    labelled = [Clip(id=str(i), path=None, split="train", labels=(labels[i % 2],)) for i in range(20)]
    learn_actions(model, corpus, labelled, [features(i % 2) for i in range(20)])
    seen = {place: probabilities(model, features(place)) for place in range(4)}
    assert seen[0][0] > 0.5 > seen[0][1]
    assert seen[1][1] > 0.5 > seen[1][0]
    assert (
        max(seen[3]) < 0.3 and seen[2][0] < 0.3 and seen[2][1] > seen[3][1]
    )  # a horse alone is not known to be ridden


def test_people_and_several_are_learned_from_captions() -> None:
    encoder = FrameEncoder.load(EncoderConfig(source="efficientnet-lite2"))
    config = DecoderConfig(embed=8, hidden=8, attention=8, evidence="efficientnet-lite2", grounding=True, several=True)
    model = CaptionModel(encoder, config, vocabulary=10)
    rng = np.random.default_rng(0)
    told = ["A man runs .", "two men run", "a dog runs", "Two dogs run"]
    arrays = [rng.normal(0, 0.1, (2, 1, encoder.width)).astype(np.float32) for _ in range(40)]
    for place, array in enumerate(arrays):
        array[..., place % 4] += 1
    clips = [Clip(id=str(i), path=None, split="train", captions=(told[i % 4],)) for i in range(40)]
    learn_grounding(model, Corpus(clips=clips, arrays=arrays, repeat=[], views=[]))
    mask = torch.ones(1, 2, dtype=torch.bool)
    for detector, truth in ((model.people, [1, 1, 0, 0]), (model.several, [0, 1, 0, 1])):
        assert detector is not None
        found = [float(detector(torch.from_numpy(array)[None], mask)) > 0.5 for array in arrays[:4]]
        assert found == [bool(one) for one in truth]


def probabilities(model: CaptionModel, features: np.ndarray) -> list[float]:
    assert model.actions is not None
    mask = torch.ones(1, len(features), dtype=torch.bool)
    return [float(p) for p in model.actions(torch.from_numpy(features)[None], mask)[0]]


def test_a_label_that_no_piece_spells_is_named() -> None:
    tokenizer = CaptionTokenizer.train(["a man rides a horse", "a woman brushes her teeth"], vocab_size=40)
    check_labels(["rides a horse", "brushes teeth"], tokenizer)
    for label in ("juggling", "42!"):
        with pytest.raises(DataError, match=f"data.actions has the label '{label}'"):
            check_labels(["a horse", label], tokenizer)


def test_labels_are_those_of_train_clips(tmp_path: Path) -> None:
    clips = [
        Clip(id=str(i), path=tmp_path / "a.png", split=split, labels=(label,))
        for i, (split, label) in enumerate([("train", "running"), ("val", "flying"), ("train", "jumping")])
    ]
    write_manifest(tmp_path / "manifest.jsonl", clips)
    assert action_labels(DataConfig(actions=(str(tmp_path / "manifest.jsonl"),))) == ["jumping", "running"]


def test_clips_and_their_detector_come_together() -> None:
    with pytest.raises(ConfigError, match="set both or neither"):
        Recipe(decoder=DecoderConfig(rendered=True))
    with pytest.raises(ConfigError, match="set both or neither"):
        replace(Recipe(), data=DataConfig(rendered=("pictures.jsonl",)))
    with pytest.raises(ConfigError, match="set both or neither"):
        replace(Recipe(), data=DataConfig(actions=("labels.jsonl",)))
    with pytest.raises(ConfigError, match=r"decoder\.actions needs decoder\.grounding"):
        DecoderConfig(actions=True)
