"""Training computes in bfloat16 only where the processor does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from captioner.training.train import Trainer


@pytest.mark.parametrize(
    ("wanted", "native", "enabled"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_bfloat16_is_used_where_it_is_native(
    wanted: bool, native: bool, enabled: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where it is emulated, as on processors with AVX2 alone, a product takes a hundred times as long."""
    kind = torch.bfloat16 if native else torch.float32
    monkeypatch.setattr("captioner.training.train.fast_dtype", lambda device: kind)
    trainer: Any = SimpleNamespace(config=SimpleNamespace(bf16=wanted), device=torch.device("cpu"))
    with Trainer._autocast(trainer):
        assert torch.is_autocast_enabled("cpu") is enabled
