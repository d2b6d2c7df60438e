"""Checkpoints go to the hub and come back whole, against a local stand-in of its HTTP interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from captioner.checkpoint import hub as captioner_hub
from captioner.errors import CheckpointError, ConfigError
from tests.hub_server import Hub, hub
from tests.media import render_clip

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub() as held:
        yield held


def captioner(server: Hub, home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command line with the stand-in for the hub, its cache in ``home``."""
    own = {"HF_ENDPOINT": server.address, "HF_HOME": str(home), "HF_TOKEN": server.token, "HF_HUB_DISABLE_XET": "1"}
    own |= {"HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "captioner", *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    return subprocess.run(command, env=environment | own | settings, capture_output=True, text=True, cwd=home.parent)


def test_pushed_fetched_pinned_and_kept_for_offline_use(server: Hub, checkpoint: Path, tmp_path: Path) -> None:
    clip, home = render_clip(tmp_path / "a.mp4"), tmp_path / "home"
    here = captioner(server, home, "caption", str(clip), "-m", str(checkpoint), "-f", "jsonl")
    pushed = captioner(server, home, "push", str(checkpoint), "me/tiny", "--license", "mit")
    assert pushed.returncode == 0, pushed.stderr
    first = server.repos["me/tiny"]["main"]
    assert pushed.stdout.strip() == f"{server.address}/me/tiny/commit/{first}"
    files = server.commits[first]
    assert set(files) - {".gitattributes", "README.md"} == {path.name for path in checkpoint.iterdir()}
    assert files["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    card = files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: captioner\n") and "license: mit" in card
    fingerprint = json.loads(here.stdout)["model"]
    assert "captioner caption -m me/tiny clip.mp4" in card and fingerprint in card and str(checkpoint) not in card

    server.commit("me/tiny", "main", {"config.json": b"{}", "evil.py": b"raise SystemExit", "evil.bin": b"x"})
    pinned = captioner(server, home, "caption", str(clip), "-m", f"me/tiny@{first}", "-f", "jsonl")
    assert pinned.returncode == 0, pinned.stderr
    assert json.loads(pinned.stdout) == json.loads(here.stdout)
    newest = captioner(server, home, "caption", str(clip), "-m", "me/tiny")
    assert newest.returncode == 1 and "is not a captioner checkpoint" in newest.stderr
    assert not any("evil" in request for request in server.asked)  # what is not of a checkpoint is never fetched
    asked = len(server.asked)
    offline = captioner(server, home, "caption", str(clip), "-m", f"me/tiny@{first}", "-f", "txt", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0 and len(server.asked) == asked, offline.stderr


def test_what_the_hub_refuses_is_one_line(server: Hub, checkpoint: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    server.commit("me/other", "main", {"pytorch_model.bin": b"x"})
    for name, said in (
        ("me/nothing", "there is no checkpoint folder me/nothing, and none on the Hugging Face hub"),
        ("me/other@v9", "me/other on the Hugging Face hub has no revision v9"),
        ("me/other", "me/other on the Hugging Face hub is not a captioner checkpoint: it has no config.json"),
    ):
        done = captioner(server, home, "info", name)
        assert done.returncode == 1 and done.stderr.splitlines()[-1] == f"captioner: {said}", done.stderr
    away = captioner(server, home, "info", "me/other", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "empty"))
    assert (
        away.returncode == 1
        and away.stderr.count("\n") == 1
        and "HF_HUB_OFFLINE=1 forbids fetching it; unset it" in away.stderr
    )
    refused = captioner(server, home, "push", str(checkpoint), "me/tiny", HF_TOKEN="wrong")
    assert refused.returncode == 1 and refused.stderr.startswith("captioner: cannot push to me/tiny: "), refused.stderr
    assert refused.stderr.count("\n") == 1 and "me/tiny" not in server.repos


def test_a_branch_and_a_card_of_ones_own(server: Hub, checkpoint: Path, tmp_path: Path) -> None:
    import shutil

    own = tmp_path / "own"
    shutil.copytree(checkpoint, own)
    (own / "README.md").write_text("# Mine\n", encoding="utf-8")
    (own / "NOTICE").write_text("weights of others", encoding="utf-8")
    (own / "LICENSE-APACHE").write_text("their licence", encoding="utf-8")
    done = captioner(server, tmp_path / "home", "push", str(own), "me/tiny", "--revision", "v2", "--private")
    assert done.returncode == 0, done.stderr
    assert server.commits[server.repos["me/tiny"]["v2"]]["README.md"] == b"# Mine\n"
    assert server.commits[server.repos["me/tiny"]["v2"]]["NOTICE"] == b"weights of others"
    assert "LICENSE-APACHE" in server.commits[server.repos["me/tiny"]["v2"]]
    assert "config.json" not in server.commits[server.repos["me/tiny"]["main"]]
    told = captioner(server, tmp_path / "home", "info", "me/tiny@v2")
    assert told.returncode == 0, told.stderr
    assert [path.read_text() for path in (tmp_path / "home").rglob("NOTICE")] == ["weights of others"]


def test_a_folder_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the hub for what is, or can only be, a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/missing", "missing", "a/b/c", "./x/y", str(tmp_path / "no" / "thing"), "C:\\runs\\mine"):
        assert captioner_hub.located(name) == Path(name)
    with pytest.raises(ConfigError, match="it must look like user/name"):
        captioner_hub.push(tmp_path, "nonsense", card="")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="the Hugging Face hub cannot be reached"):
        captioner_hub.located("me/tiny")
