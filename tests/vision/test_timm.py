"""A CNN of timm's, with random weights: from its name to features, and through a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from captioner.errors import CheckpointError, ConfigError
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_cnn_by_its_name_with_its_own_normalisation() -> None:
    timm = pytest.importorskip("timm", reason="pip install 'captioner[timm]'")
    torch.manual_seed(0)
    encoder = FrameEncoder.load(EncoderConfig(source="timm/resnet18", weights="random", grid=2))
    assert (encoder.config.mean, encoder.config.std) == IMAGENET and encoder.width == 512 and encoder.cnn.size == 224
    frames = torch.randint(256, (2, 96, 128, 3), dtype=torch.uint8)
    plain = timm.create_model("resnet18", num_classes=0, global_pool="").eval()
    plain.load_state_dict(encoder.cnn.body.state_dict())
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)
    with torch.no_grad():
        maps = plain((frames.permute(0, 3, 1, 2) / 255 - mean) / std)
        expected = torch.nn.functional.adaptive_avg_pool2d(maps, 2).flatten(2).transpose(1, 2)
        torch.testing.assert_close(encoder(frames), expected, rtol=1e-3, atol=1e-4)
        fast = encoder.fast()(frames)
    assert torch.nn.functional.cosine_similarity(fast.flatten(1), expected.flatten(1)).min() > 0.999
    again = FrameEncoder.from_cnn_config(encoder.cnn_config(), encoder.config)
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(frames), encoder(frames))
    recorded = FrameEncoder.from_cnn_config(encoder.cnn_config(size=64), encoder.config)
    recorded.load_state_dict(encoder.state_dict())
    small = frames[:, :64, :64]
    torch.testing.assert_close(recorded(small), encoder(small), rtol=1e-3, atol=1e-4)


def test_what_timm_does_not_know_and_pixels_that_it_was_not_trained_on() -> None:
    pytest.importorskip("timm", reason="pip install 'captioner[timm]'")
    with pytest.raises(CheckpointError, match="knows no CNN 'resnet19'"):
        FrameEncoder.load(EncoderConfig(source="timm/resnet19", weights="random"))
    with pytest.raises(ConfigError, match="leave both out"):
        FrameEncoder.load(EncoderConfig(source="timm/resnet18", weights="random", mean=(0.1, 0.1, 0.1)))


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.delitem(sys.modules, "captioner.vision.timm_cnn", raising=False)
    with pytest.raises(CheckpointError, match=r'pip install "captioner\[timm\]"'):
        FrameEncoder.load(EncoderConfig(source="timm/resnet18", weights="random"))
