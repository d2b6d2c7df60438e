"""A CNN from its recording: no transformers needed to caption, the very same network once they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from captioner.errors import CheckpointError
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.recorded import RecordedCNN
from tests.cnns import FAMILIES, UNRECORDABLE, frames, settled_encoder
from tests.media import render_clip
from tests.numeric import assert_same

CONFIG = EncoderConfig()


def rebuilt(encoder: FrameEncoder, *, size: int) -> FrameEncoder:
    """``encoder`` after a round trip through JSON and a state dict."""
    copy = FrameEncoder.from_cnn_config(json.loads(json.dumps(encoder.cnn_config(size=size))), CONFIG)
    copy.load_state_dict(encoder.state_dict())
    return copy


@pytest.mark.parametrize("family", FAMILIES)
def test_it_computes_the_same_for_every_size(tmp_path: Path, family: str) -> None:
    encoder = settled_encoder(tmp_path, family)
    copy = rebuilt(encoder, size=64)
    assert isinstance(copy.cnn, RecordedCNN) == (family != UNRECORDABLE)
    assert copy.width == encoder.width and copy.fingerprint() == encoder.fingerprint()
    with torch.no_grad():
        assert_same(copy(frames(64, 64)), encoder(frames(64, 64)))
        assert isinstance(copy.cnn, RecordedCNN) == (family != UNRECORDABLE)
        assert_same(copy(frames(96, 64)), encoder(frames(96, 64)))
    assert not isinstance(copy.cnn, RecordedCNN)
    assert copy.cnn_config(size=64) == encoder.cnn_config(size=64), "it can be recorded again"


def test_training_goes_on_with_the_same_parameters(tmp_path: Path) -> None:
    copy = rebuilt(settled_encoder(tmp_path, "resnet"), size=64)
    before = dict(copy.named_parameters())
    copy.train()
    assert not isinstance(copy.cnn, RecordedCNN)
    after = dict(copy.named_parameters())
    assert before.keys() == after.keys() and all(before[name] is after[name] for name in before)
    copy(frames()).sum().backward()
    assert all(p.grad is not None for name, p in after.items() if "pooler" not in name)


def test_nothing_is_there_before_the_weights_are(tmp_path: Path) -> None:
    encoder = settled_encoder(tmp_path, "resnet")
    for cnn in (encoder.cnn_config(), encoder.cnn_config(size=64)):
        empty = FrameEncoder.from_cnn_config(cnn, CONFIG)
        assert empty.state_dict().keys() == encoder.state_dict().keys()
        assert all(t.isnan().all() for t in empty.state_dict().values() if t.is_floating_point())
        with torch.no_grad():
            assert empty(frames(64, 64)).isnan().all()


def signed(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """The change with the digest made to match: what a wrong conversion would leave behind."""
    from captioner.vision.recorded import _digest

    def apply(cnn: dict[str, Any]) -> None:
        change(cnn["recording"])
        architecture = {key: value for key, value in cnn.items() if key != "recording"}
        cnn["recording"]["sha256"] = _digest(architecture, cnn["recording"])

    return apply


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(depths=[9]), "does not belong to the architecture beside it"),
        (lambda c: c["recording"]["steps"].pop(), "does not belong"),
        (lambda c: c["recording"].pop("sha256"), "sha256"),
        (lambda c: c.update(recording=3), "damaged"),
        (signed(lambda r: r.update(steps=[])), "no steps"),
        (signed(lambda r: r.update(size=[0, 64])), "no size"),
        (signed(lambda r: r["steps"].insert(0, 'eval "x" > 3 8 8')), "step 1 is 'eval'; known: adaptive_avg_pool2d"),
        (signed(lambda r: r["steps"].insert(0, "relu %1 > 3 8 8")), "step 1 works on %1, which is not known yet"),
        (signed(lambda r: r["steps"].insert(0, "add %0 @nonesuch > 3 8 8")), "no weight 'nonesuch'"),
        (signed(lambda r: r["steps"].insert(0, "relu %0 [ > 3 8 8")), "damaged"),
        (signed(lambda r: r["weights"].update(a="tensor float32 3")), "a is neither a parameter nor a buffer"),
        (signed(lambda r: r["weights"].update(a="buffer load 3")), "must be torch.dtype"),
        (signed(lambda r: r["weights"].update({"embedder..a": "buffer float32 3"})), "damaged"),
    ],
)
def test_a_damaged_recording_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    cnn = settled_encoder(tmp_path, "resnet").cnn_config(size=64)
    cnn = json.loads(json.dumps(cnn))
    change(cnn)
    with pytest.raises(CheckpointError) as caught:
        FrameEncoder.from_cnn_config(cnn, CONFIG)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_captioning_starts_without_transformers_and_without_torchs_compiler(checkpoint: Path, tmp_path: Path) -> None:
    """Each would cost seconds at every start of the command."""
    clip = render_clip(tmp_path / "clip.mp4")
    program = (
        "import sys\n"
        "from captioner.cli import main\n"
        f"status = main(['caption', {str(clip)!r}, '--model', {str(checkpoint)!r}])\n"
        "slow = {'transformers', 'torch._dynamo', 'sympy', 'sentencepiece', 'gradio'} & set(sys.modules)\n"
        "sys.exit(status or ' '.join(sorted(slow)) or 0)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and run.stdout.strip(), run.stderr
