"""Files of stores: brought to this machine, captioned as local ones are, and gone afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from captioner.cli import main
from tests.media import render_clip
from tests.s3_server import S3


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [render_clip(folder / f"{i}.mp4", frames=12 + i, gop=4, size=(32, 24)) for i in range(3)]


def test_a_prefix_is_captioned_like_a_folder(
    s3: S3,
    checkpoint: Path,
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    names = ["b.mp4", "sub/c.webm", "a.MP4", "none.mp4", "notes.txt", ".hidden/d.mp4"]
    files = dict(zip(names, [*clips, b"", b"text", clips[0].read_bytes()], strict=True))
    s3.fill("like-a-folder", {f"in/{name}": content for name, content in files.items()})
    for name, content in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    scratch = tmp_path / "scratch"
    rows = {}
    for kind, source in (("local", str(tmp_path / "in") + "/"), ("s3", "s3://like-a-folder/in/")):
        out = tmp_path / f"{kind}.jsonl"
        options = ["-o", str(out), "-m", str(checkpoint), "--jobs", "1", "--scratch", str(scratch)]
        assert main(["caption", source, "-r", *options]) == 1
        rows[kind] = [json.loads(line) for line in (*out.open(), *(tmp_path / f"{kind}.jsonl.failures.jsonl").open())]
        for row in rows[kind]:
            row["path"] = row["path"].removeprefix(source)
            row.pop("error", None)
    assert [row["path"] for row in rows["s3"]] == ["a.MP4", "b.mp4", "sub/c.webm", "none.mp4"]
    assert rows["s3"] == rows["local"] and rows["s3"][-1]["code"] == "empty"
    assert list(scratch.iterdir()) == []
    assert "3 captioned, 1 failed" in capsys.readouterr().err
