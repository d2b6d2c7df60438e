"""`python -m eval run`: through the product's own pipeline, resumed after a kill, nothing lost."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from captioner import Captioner
from captioner.manifest import read_manifest, write_manifest
from data.shapes import render
from eval.__main__ import main
from tests.media import render_text
from tests.tiny import tiny_checkpoint


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return render(tmp_path / "shapes", train=0, val=0, test=5, seed=2)


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def test_a_split_is_captioned_and_scored(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(checkpoint), str(manifest), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "CIDEr" in table and json.loads((tmp_path / "out" / "report.json").read_text())
    made = rows(tmp_path / "out")
    assert [r["id"] for r in made] == [c.id for c in read_manifest(manifest)] and all(r["caption"] for r in made)
    # a run killed in the middle of a line does the rest, and only the rest
    path = tmp_path / "out" / "predictions.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]) + lines[3][:20])
    assert main(command) == 0
    assert rows(tmp_path / "out") == made and capsys.readouterr().out == table


def test_failed_clips_are_rows_with_a_reason(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = read_manifest(manifest)
    bad = dataclasses.replace(clips[0], id="bad", path=render_text(tmp_path / "bad.mp4"))
    write_manifest(tmp_path / "m.jsonl", [*clips, bad])
    assert main(["run", str(checkpoint), str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "out")]) == 1
    assert "bad.mp4" in capsys.readouterr().err
    [failure] = [r for r in rows(tmp_path / "out") if "error" in r]
    assert failure["id"] == "bad" and failure["code"]


def test_two_models_do_not_mix(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(checkpoint), str(manifest), "--out", str(tmp_path / "out")]) == 0
    other = tiny_checkpoint(tmp_path / "other", grid=2)
    assert main(["run", str(other), str(manifest), "--out", str(tmp_path / "out")]) == 1
    assert "another run (checkpoint was" in capsys.readouterr().err


def test_settings_do_not_mix_and_failures_are_tried_again(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = read_manifest(manifest)
    assert clips[1].path is not None
    away = clips[1].path.rename(tmp_path / "away.mp4")
    command = ["run", str(checkpoint), str(manifest), "--out", str(tmp_path / "out"), "--limit", "3"]
    assert main(command) == 1 and "cannot be opened" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "report.json").read_text())["coverage"]["failed"].keys() == {clips[1].id}
    away.rename(clips[1].path)
    assert main([*command, "--beams", "1"]) == 1
    assert "search.beams was 3, now 1" in capsys.readouterr().err
    assert main(command) == 0
    assert "score on 3 of 5 clips" in capsys.readouterr().out  # --limit is never printed as if it were whole
    made = rows(tmp_path / "out")
    assert [r["id"] for r in made] == [clips[i].id for i in (0, 2, 1, 1)]
    assert "error" in made[2] and "caption" in made[3]


def test_the_report_lies_beside_the_scores(checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["run", str(checkpoint), str(manifest), "--out", str(out), "--train", str(tmp_path / "train.jsonl")]
    train = [dataclasses.replace(clip, split="train", id=f"t-{clip.id}") for clip in read_manifest(manifest)[:2]]
    write_manifest(tmp_path / "train.jsonl", train)
    assert main(command) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "2 of 5 clips are training clips too: test-00000 is t-test-00000" in page
    assert page.count('src="data:image/jpeg') == 5 and "Category" in page
    assert main([*command, "--no-images"]) == 0
    assert "data:image" not in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "report.md").read_text(encoding="utf-8").count("Leakage from training") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--limit", "0"], "--limit is 0; it must be at least 1"),
        (["--timeout", "0"], "--timeout is 0.0; it must be above 0 seconds"),
        (["--beams", "0"], "search.beams is 0"),
        (["--train", "nowhere.jsonl"], "cannot read the manifest nowhere.jsonl"),
    ],
)
def test_options_that_make_no_sense(
    checkpoint: Path,
    manifest: Path,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", str(checkpoint), str(manifest), "--out", str(tmp_path / "out"), *options]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_no_clip_and_a_folder_of_something_else(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    assert main(["run", str(checkpoint), str(tmp_path / "empty.jsonl"), "--out", str(tmp_path / "out")]) == 1
    assert "holds no clips" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "predictions.jsonl").write_text('{"id": "a", "caption": "b"}\n')
    assert main(["run", str(checkpoint), str(manifest), "--out", str(tmp_path / "mine")]) == 1
    assert "holds captions of another run (it has no run.json)" in capsys.readouterr().err


def test_a_manifest_without_the_split(checkpoint: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(checkpoint), str(manifest), "--split", "val", "--out", "unused"]) == 1
    assert "no clip in the split 'val'" in capsys.readouterr().err


def test_a_page_to_read_captions_beside_their_frames(
    checkpoint: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = render_text(tmp_path / "<script>bad.mp4")
    page = tmp_path / "look.html"
    options = ["--manifest", str(manifest), "--split", "test", "--every", "2", "--out", str(page)]
    assert main(["look", str(checkpoint), str(bad), *options]) == 1
    said = capsys.readouterr()
    assert said.out.strip() == str(page) and "text file" in said.err
    html = page.read_text(encoding="utf-8")
    captioner = Captioner.load(checkpoint)
    ids = [clip.id for clip in read_manifest(manifest)]
    for clip in read_manifest(manifest):
        assert (f">{clip.id} ·" in html) is (ids.index(clip.id) % 2 == 1), "the bad file counts as the first"
        if f">{clip.id} ·" in html:
            assert clip.path is not None and f"<h3>{captioner.caption(clip.path).text}</h3>" in html
    assert html.count("data:image/jpeg;base64,") == html.count("<article") == 2
    assert "<script>" not in html and "&lt;script&gt;bad.mp4" in html and "http:" not in html and "https:" not in html
    assert main(["look", str(checkpoint), "--every", "0"]) == 1
    assert main(["look", str(checkpoint)]) == 1
    assert capsys.readouterr().err.count("\n") == 2
    assert main(["look", str(checkpoint), str(bad), "--out", str(page), "--overwrite"]) == 1
    assert capsys.readouterr().err.count("bad.mp4") == 1 and page.read_text(encoding="utf-8") == html
