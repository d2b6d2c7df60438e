"""``python -m data``: what it writes, says and returns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from captioner.manifest import read_manifest
from data.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    source = tmp_path / "clips"
    source.mkdir()
    for number in range(20):
        (source / f"{number}.mp4").write_text(f"{number}")
        (source / f"{number}.txt").write_text("a man eats\n")
    (source / "silent.mp4").write_text("none")
    return source


def test_results_on_stdout_and_everything_else_on_stderr(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["folder", "--no-check", str(clips), "--out", str(out), "--split", "60,20,20"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'manifest.jsonl'}\n"
    assert "folder: 20 clips with 20 captions" in printed.err
    assert "1 clip without captions, left out: silent.mp4" in printed.err
    assert "\r" not in printed.err, "no progress where nobody is watching"
    first = (out / "manifest.jsonl").read_bytes()
    assert {clip.split for clip in read_manifest(out / "manifest.jsonl")} == {"train", "val", "test"}

    assert main(arguments) == 0
    assert (out / "manifest.jsonl").read_bytes() == first
    assert [path.name for path in out.iterdir()] == ["manifest.jsonl"]


def test_a_manifest_beside_the_clips_holds_relative_paths(clips: Path) -> None:
    assert main(["folder", "--no-check", str(clips), "--out", str(clips)]) == 0
    assert str(clips) not in (clips / "manifest.jsonl").read_text()
    assert all(clip.path and clip.path.is_file() for clip in read_manifest(clips / "manifest.jsonl"))


def test_every_data_set_writes_its_manifests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "youtube_mapping.txt").write_text("aaa_0_5 vid1\nbbb_0_5 vid2\n")
    (tmp_path / "sents_train_lc_nopunc.txt").write_text("vid1\ta man eats\nvid2\ta dog runs\n")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "aaa_0_5.mp4").write_text("1")
    out = tmp_path / "out"
    assert main(["msvd", str(tmp_path), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out / "manifest.jsonl"), str(out / "text.jsonl")]
    assert main(["msvd", str(tmp_path), "--out", str(out)]) == 0, "the same again changes nothing"
    capsys.readouterr()
    assert main(["msvd", str(tmp_path), "--out", str(out), "--text-only"]) == 1
    assert "manifest.jsonl exists" in capsys.readouterr().err
    assert main(["msvd", str(tmp_path), "--out", str(out), "--text-only", "--overwrite"]) == 0
    assert capsys.readouterr().out.split() == [str(out / "text.jsonl")]
    assert main(["captions", str(tmp_path / "sents_train_lc_nopunc.txt"), "--out", str(out), "--overwrite"]) == 0
    small = ["--train", "2", "--val", "1", "--test", "1", "--size", "48", "--overwrite"]
    assert main(["shapes", "--out", str(out), *small]) == 0
    assert len(read_manifest(out / "manifest.jsonl")) == 4
    assert not (out / "text.jsonl").exists(), "what an earlier command left is gone"


def test_an_error_is_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["msvd"], ["msrvtt"], ["vatex"], ["flickr8k"], ["folder"], ["actions"]):
        assert main([*arguments, str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
        printed = capsys.readouterr()
        assert (printed.out, printed.err) == ("", f"data: the folder {tmp_path / 'none'} does not exist\n")
    monkeypatch.setenv("CAPTIONER_DEBUG", "1")
    with pytest.raises(Exception, match="does not exist"):
        main(["msvd", str(tmp_path / "none"), "--out", str(tmp_path)])


def test_an_output_folder_that_cannot_be_made_is_an_error_of_one_line(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["folder", "--no-check", str(clips), "--out", str(tmp_path / "file" / "out")]) == 1
    assert (
        capsys.readouterr().err
        == f"data: cannot write {tmp_path / 'file' / 'out' / 'manifest.jsonl'}: Not a directory\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["coco"],
        ["msvd", "x"],
        ["folder", "x", "--out", "y", "--split", "80,20"],
        ["folder", "x", "--out", "y", "--split", "80,10,20"],
        ["folder", "x", "--out", "y", "--split", "-10,10,100"],
        ["folder", "x", "--out", "y", "--split", "nan,50,50"],
        ["msvd", "x", "--out", "y", "--text-only", "--videos", "z"],
        ["shapes", "--out", "y", "--train", "many"],
    ],
)
def test_a_command_that_is_not_understood_is_exit_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom data.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as done:\n    assert done.code == 0\n"
        "print(sorted({'numpy', 'av', 'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "shapes" in done.stdout
