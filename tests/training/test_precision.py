"""bfloat16 only where the processor computes in it: elsewhere a product in it takes a hundred times as long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode

from captioner import Captioner
from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.anomalies.learning import _fit
from captioner.checkpoint.captioning import load_checkpoint
from captioner.io.signals import Stop
from captioner.training.config import DataConfig, Recipe, TrainConfig
from captioner.training.soup import average
from captioner.training.train import fit
from captioner.vision import encoder as encoder_module
from captioner.vision.fast import FastCNN
from data.shapes import render
from tests.cnns import frames, settled_encoder


@pytest.mark.parametrize(("wanted", "native", "used"), [(True, True, True), (True, False, False), (False, True, False)])
def test_bfloat16_is_used_where_it_is_native(
    wanted: bool, native: bool, used: bool, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By what the layers of the model that is trained compute in."""
    kind = torch.bfloat16 if native else torch.float32
    monkeypatch.setattr("captioner.training.train.fast_dtype", lambda device: kind)
    computed: set[torch.dtype] = set()

    def note(module: nn.Module, given: Any, result: Any) -> None:
        if isinstance(module, nn.Linear):
            computed.add(result.dtype)

    data = DataConfig(manifests=(str(render(tmp_path, train=2, val=1, test=0, seed=1)),), cache=str(tmp_path / "cache"))
    train = TrainConfig(start=str(checkpoint), epochs=1, batch_size=4, bf16=wanted)
    hook = register_module_forward_hook(note)
    try:
        fit(Recipe(data=data, train=train), tmp_path / "run", quiet=True)
    finally:
        hook.remove()
    assert computed == {torch.bfloat16 if used else torch.float32}


class Float32Only(TorchDispatchMode):
    """Fails at the first operation that gives bfloat16."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            assert not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.bfloat16, f"{func} in bfloat16"
        return result


def test_nothing_is_computed_in_what_the_processor_emulates(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training of the decoder and of all, saving, averaging, captioning, and learning from footage."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    data = DataConfig(manifests=(str(render(tmp_path, train=4, val=2, test=0, seed=1)),), cache=str(tmp_path / "cache"))
    made = [checkpoint]
    with Float32Only():
        for whole in (False, True):
            train = TrainConfig(start=str(checkpoint), epochs=1, batch_size=2, train_encoder=whole)
            made.append(fit(Recipe(data=data, train=train), tmp_path / f"run {whole}", quiet=True))
        average(made, tmp_path / "mean")
        clip = next(tmp_path.glob("clips/*.mp4"))
        assert Captioner.load(tmp_path / "mean").caption(clip).text
        footage = np.zeros((16, 9, 9, 3), np.uint8)
        _fit(
            FootageConfig(width=9, height=9),
            DetectorConfig(steps=1),
            [footage],
            tell=lambda step, error: None,
            stop=Stop(),
        )
    for folder in (*made[2:], tmp_path / "mean"):
        assert load_checkpoint(folder).model.encoder.exact == {}, "of these weights nobody knows"
    before, frozen = (load_checkpoint(folder).model.encoder.exact for folder in made[:2])
    assert frozen == before, "the CNN is as it was"


@torch.no_grad()
def test_what_must_be_exact_is_found_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever is quick in bfloat16: saving computes nothing, and the fast copy asks no more."""
    monkeypatch.setattr(encoder_module, "fast_dtype", lambda device: torch.bfloat16)
    encoder = settled_encoder(tmp_path, "resnet").requires_grad_(False)
    assert encoder.cnn_config(size=64)["recording"]["exact"] is None
    encoder.find_exact(64)
    found = encoder.exact[64, 64]
    monkeypatch.setattr(encoder_module, "exact_convolutions", None)
    monkeypatch.setattr(FastCNN, "__call__", lambda self, pixels: pytest.fail("saving runs the CNN"))
    encoder.train()
    config = encoder.cnn_config(size=64)
    assert config["recording"]["exact"] == found
    monkeypatch.undo()
    monkeypatch.setattr(encoder_module, "exact_convolutions", None)
    again = type(encoder).from_cnn_config(config, encoder.config)
    again.load_state_dict(encoder.state_dict())
    assert again.exact == again.read_as(again.config).exact == {(64, 64): found}
    assert again.fast()(frames(64, 64)).isfinite().all()
    again.requires_grad_(True).train()
    assert again.exact == {}, "its weights may change"
