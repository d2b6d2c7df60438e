"""The frame encoder: every family, pooled or as a grid, fast as eager, and nothing left to chance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from captioner.errors import CaptionerError, CheckpointError, ConfigError
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from tests.cnns import FAMILIES, cosine, frames, settled_encoder, write_config
from tests.numeric import BFLOAT16, assert_same


@pytest.mark.parametrize("family", FAMILIES)
def test_fast_features_are_those_of_the_network_as_it_comes(tmp_path: Path, family: str) -> None:
    encoder = settled_encoder(tmp_path, family)
    pixels = (frames().permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.no_grad():
        expected = encoder.cnn(pixels).last_hidden_state.mean(dim=(2, 3))
        assert_same(encoder(frames())[:, 0], expected)
        fast = encoder.fast()
        for _ in range(2):
            assert cosine(fast(frames())[:, 0], expected) >= 0.998  # 0.999 on average over other pictures
        assert float(torch.cosine_similarity(fast(frames())[:, 0], expected).mean()) >= 0.999
    assert fast.width == encoder.width == expected.shape[1]


def test_a_grid_says_where(tmp_path: Path) -> None:
    encoder = settled_encoder(tmp_path, "resnet", grid=2)
    with torch.no_grad():
        maps = encoder.cnn(encoder.normalise(frames())).last_hidden_state
        features = encoder(frames())
        assert features.shape == (4, 4, encoder.width) and encoder.places == 4
        rows = adaptive_avg_pool2d(maps, 2)
        assert_same(features[:, 1], rows[:, :, 0, 1])  # right of the top left
        assert cosine(encoder.fast()(frames()), features) >= 0.999


def test_clips_any_number_of_frames_and_none(tmp_path: Path) -> None:
    encoder = settled_encoder(tmp_path, "resnet")
    many = frames(32, 32).repeat(5, 1, 1, 1)  # more than are encoded at a time
    with torch.no_grad():
        for encode in (encoder, encoder.fast()):
            together = encode(many)
            assert together.shape == (20, 1, encoder.width) and together.dtype == torch.float32
            assert_same(together[:4], encode(many[:4]), within=BFLOAT16)
            torch.testing.assert_close(encode(many.view(2, 10, 32, 32, 3)), together.view(2, 10, 1, -1))
            assert encode(many[:0]).shape == (0, 1, encoder.width)


def test_every_colour_is_scaled_by_its_own_mean_and_deviation(tmp_path: Path) -> None:
    mean, std = (0.1, 0.5, 0.8), (0.2, 0.3, 0.4)
    pixels = frames(4, 6)
    scaled = settled_encoder(tmp_path, "resnet", mean=mean, std=std).normalise(pixels)
    expected = (pixels / 255 - torch.tensor(mean)) / torch.tensor(std)
    assert torch.allclose(scaled, expected.permute(0, 3, 1, 2), atol=1e-5)
    assert scaled.is_contiguous(memory_format=torch.channels_last)


def test_a_fast_copy_is_frozen(tmp_path: Path) -> None:
    encoder = settled_encoder(tmp_path, "resnet")
    fast = encoder.fast()
    with torch.no_grad():
        before = fast(frames())
        for weight in encoder.parameters():
            weight.mul_(2)
        torch.testing.assert_close(fast(frames()), before)
    assert all(weight.requires_grad for weight in encoder.parameters())
    assert not any(weight.requires_grad for weight in fast.parameters())


def test_gradients_reach_the_cnn_and_a_pretrained_ones_statistics_stay(tmp_path: Path) -> None:
    encoder = settled_encoder(tmp_path / "a", "resnet")
    encoder.cnn.save_pretrained(tmp_path / "trained")
    pretrained = FrameEncoder.load(EncoderConfig(source=str(tmp_path / "trained")))
    for chosen, moves in ((pretrained, False), (encoder, True)):
        norm = next(module for module in chosen.modules() if isinstance(module, nn.BatchNorm2d))
        before = norm.running_mean.clone()
        chosen.train()
        chosen(frames()).sum().backward()
        assert torch.equal(norm.running_mean, before) != moves
        assert norm.weight.grad is not None and next(chosen.cnn.parameters()).grad is not None
        assert chosen.training and norm.training == moves
        assert not chosen.eval().training


def test_the_fingerprint_follows_what_features_depend_on(tmp_path: Path) -> None:
    encoder = settled_encoder(tmp_path, "resnet")
    prints = {encoder.fingerprint()}
    for config in (EncoderConfig(grid=2), EncoderConfig(mean=(0, 0, 0)), EncoderConfig(std=(1, 1, 1))):
        prints.add(FrameEncoder(encoder.cnn, config, width=encoder.width).fingerprint())
    encoder(frames())  # eval mode: changes nothing
    assert encoder.fingerprint() in prints and len(prints) == 4
    with torch.no_grad():
        next(encoder.parameters()).view(-1)[0] += 1e-3
    assert encoder.fingerprint() not in prints


def test_the_sign_of_a_zero_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    """Averaging the weights of a frozen CNN makes +0 of -0; all clips were encoded anew for that."""
    encoder = settled_encoder(tmp_path, "resnet")
    weight = next(encoder.parameters()).detach().view(-1)
    weight[0] = 0.0
    before = encoder.fingerprint()
    weight[0] = -0.0
    assert encoder.fingerprint() == before


# --- loading ---------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder as transformers writes it."""
    settled_encoder(tmp_path / "config", "resnet").cnn.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


def test_a_folder_gives_its_own_weights(trained: Path) -> None:
    weights = load_file(trained / "model.safetensors")
    loaded = FrameEncoder.load(EncoderConfig(source=str(trained))).cnn.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
    other = FrameEncoder.load(EncoderConfig(source=str(trained), weights="random")).cnn.state_dict()
    assert not torch.equal(
        other["embedder.embedder.convolution.weight"], loaded["embedder.embedder.convolution.weight"]
    )


def lose(name: str) -> Callable[[dict[str, torch.Tensor]], Any]:
    return lambda weights: weights.pop(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lose("embedder.embedder.convolution.weight"), r"lack 1 .*embedder\.embedder\.convolution\.weight"),
        (lose("embedder.embedder.normalization.running_var"), r"lack 1 .*running_var"),
        (lambda w: w.update({"embedder.embedder.normalization.bias": torch.zeros(7)}), r"bias \(wrong shape\)"),
        (lambda w: w.clear(), "lack"),
    ],
)
def test_no_weight_is_ever_random_unasked(trained: Path, change: Callable[..., Any], said: str) -> None:
    weights = load_file(trained / "model.safetensors")
    change(weights)
    save_file(weights, trained / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=said):
        FrameEncoder.load(EncoderConfig(source=str(trained)))


def test_damaged_and_pickled_weights_are_refused(trained: Path) -> None:
    file = trained / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="do not load"):
        FrameEncoder.load(EncoderConfig(source=str(trained)))
    file.rename(trained / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"holds no \.safetensors weights; pickled ones are never loaded"):
        FrameEncoder.load(EncoderConfig(source=str(trained)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "encoder.source is empty"),
        ("{folder}/none", "there is no such folder"),
        ("./none", "there is no such folder"),
        ("{folder}", "holds no config.json"),
        ("{folder}/vit", "not a CNN"),
        ("{folder}/bert", "does not take images"),
        ("{folder}/nonesuch", "not a model that transformers knows"),
    ],
)
def test_what_is_no_cnn_is_refused(tmp_path: Path, source: str, said: str) -> None:
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    for kind in ("vit", "bert", "nonesuch"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "config.json").write_text(json.dumps({"model_type": kind} | small))
    with pytest.raises(CaptionerError) as caught:
        FrameEncoder.load(EncoderConfig(source=source.format(folder=tmp_path), weights="random"))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_pixels_unlike_the_cnns_own_are_refused(trained: Path) -> None:
    own = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (trained / "preprocessor_config.json").write_text(json.dumps(own))
    with pytest.raises(ConfigError, match=r"set encoder\.mean and encoder\.std"):
        FrameEncoder.load(EncoderConfig(source=str(trained)))
    mean, std = tuple(own["image_mean"]), tuple(own["image_std"])
    FrameEncoder.load(EncoderConfig(source=str(trained), mean=mean, std=std))  # type: ignore[arg-type]


def test_loading_is_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    encoder = FrameEncoder.load(EncoderConfig(source=str(write_config(tmp_path, "resnet")), weights="random"))
    encoder.cnn.save_pretrained(tmp_path)
    capfd.readouterr()
    FrameEncoder.load(EncoderConfig(source=str(tmp_path)))
    assert capfd.readouterr() == ("", "")
