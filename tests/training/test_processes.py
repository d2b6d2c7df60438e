"""Two processes under torchrun learn what one learns, and go on after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.checkpoint.captioning import load_checkpoint
from captioner.cli import main
from captioner.manifest import Clip, write_manifest
from tests.tiny import tiny_cnn
from tests.web import shapes_clip

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | (
    {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform.startswith("linux") else {}  # whatever the machine's name resolves to
)
RECIPE = """
[data]
manifests = ["{folder}/manifest.jsonl"]
cache = "{folder}/features"
[video]
frames = 2
size = 32
[encoder]
source = "{folder}/cnn"
weights = "random"
[decoder]
embed = 16
hidden = 16
attention = 8
dropout = 0.0
[tokenizer]
vocab_size = 60
[search]
beams = 2
max_length = 12
[train]
epochs = {epochs}
batch_size = {batch}
captions_per_clip = 1
scst_epochs = {scst}
scst_samples = 2
bf16 = false
threads = 1
"""
LONGER = {"epochs": 3, "scst": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven clips: the last batch of an epoch has one example for two processes."""
    folder = tmp_path_factory.mktemp("parallel")
    said = ("a red circle", "two blue squares move", "a green cross spins fast here")
    clips = [
        Clip(
            id=f"c{n}",
            path=shapes_clip(folder / f"{n}.mp4", number=n % 6, seconds=1 + n / 10, side=32),
            split="train" if n < 11 else "val",
            captions=(said[n % 3], said[(n + 1) % 3]),
        )
        for n in range(14)
    ]
    write_manifest(folder / "manifest.jsonl", clips)
    tiny_cnn(folder / "cnn")
    return folder


def recipe(folder: Path, name: str, **stages: int) -> list[str]:
    """The arguments that train by it."""
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(folder=folder, **{"epochs": 2, "scst": 0, "batch": 5} | stages), encoding="utf-8")
    return ["train", str(path), "--out", str(folder / name), "--quiet"]


def in_two(*module: str) -> subprocess.CompletedProcess[str]:
    """A module in two processes, started as users start them."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    return subprocess.run([*launch, *module], env=os.environ | ENVIRONMENT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def runs(folder: Path) -> Path:
    """The runs of two processes, the last of them killed; one launch, as each takes its seconds."""
    named = {"two-5": {"batch": 5}, "two-1": {"batch": 1}, "whole": LONGER, "killed": LONGER}
    done = in_two("tests.training.ranks", *[" ".join(recipe(folder, name, **named[name])) for name in named])
    assert done.returncode == 1 and "SIGKILL" in done.stderr, done.stderr
    return folder


def records(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or sys.platform == "win32", reason="needs torch.distributed with gloo"
)


@pytest.mark.parametrize("batch", [5, 1])
def test_two_processes_have_the_loss_curve_of_one(runs: Path, batch: int) -> None:
    """Also where a batch has fewer examples than there are processes."""
    names = f"one-{batch}", f"two-{batch}"
    assert len(list((runs / "features").rglob("*.npy"))) == 14  # two processes made them, each its share
    assert main(recipe(runs, names[0], batch=batch)) == 0
    one, two = (records(runs / name) for name in names)
    assert [r["step"] for r in one] == [r["step"] for r in two] and len(one) > 4
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose([a.get("loss", 0.0)], [b.get("loss", 0.0)], rtol=1e-3)
    for name, tensor in load_checkpoint(runs / names[0] / "checkpoint").model.state_dict().items():
        other = load_checkpoint(runs / names[1] / "checkpoint").model.state_dict()[name]
        torch.testing.assert_close(tensor, other, rtol=0.02, atol=2e-3)  # kept in 16 bits


def test_a_killed_run_of_two_goes_on_bit_for_bit(runs: Path) -> None:
    assert 0 < len(records(runs / "killed")) < len(records(runs / "whole"))
    done = in_two("captioner", *recipe(runs, "killed", **LONGER))
    assert done.returncode == 0, done.stderr
    assert records(runs / "killed") == records(runs / "whole")
    state, other = (torch.load(runs / n / "state.pt", weights_only=True) for n in ("whole", "killed"))
    assert all(torch.equal(tensor, other["model"][name]) for name, tensor in state["model"].items())
