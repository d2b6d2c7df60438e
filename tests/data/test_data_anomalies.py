"""Footage in its published layouts, as files of the same form that the tests write."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.manifest import read_manifest
from captioner.video.frames import probe
from data.__main__ import main
from data.anomalies import abnormal_frames, spans
from data.shapes import write_clip

scipy_io = pytest.importorskip("scipy.io")


def tiff(path: Path, level: int) -> None:
    """A greyscale frame of 238 x 159, as UCSD has them."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((159, 238), level, np.uint8)).save(path)


def ucsd(root: Path) -> Path:
    for split, number, count in (("Train", 1, 12), ("Test", 1, 20), ("Test", 2, 20)):
        for frame in range(1, count + 1):
            tiff(root / split / f"{split}{number:03}" / f"{frame:03}.tif", 40 * number + frame)
    (root / "Test" / "Test001_gt").mkdir()
    (root / "Test" / "UCSDped2.m").write_text(
        "TestVideoFile = {};\n% frames with something abnormal\n"
        "TestVideoFile{end+1}.gt_frame = [11:20];\nTestVideoFile{end+1}.gt_frame = [1:5, 9, 15:16];\n"
    )
    return root


def test_ucsd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = ucsd(tmp_path / "UCSDped2"), tmp_path / "out"
    assert main(["anomalies", "ucsd", str(source), "--out", str(out)]) == 0
    clips = {clip.id: clip for clip in read_manifest(out / "manifest.jsonl")}
    assert {name: clip.split for name, clip in clips.items()} == {
        "Train001": "train",
        "Test001": "test",
        "Test002": "test",
    }
    assert clips["Train001"].abnormal == ()
    assert clips["Test001"].abnormal == ((1.0, 2.0),)
    assert clips["Test002"].abnormal == ((0.0, 0.5), (0.8, 0.9), (1.4, 1.6))
    found = probe(clips["Test001"].path or "")
    assert (found.width, found.height, found.duration_seconds) == (238, 158, pytest.approx(2.0))
    shutil.rmtree(source / "Test" / "Test002")
    assert main(["anomalies", "ucsd", str(source), "--out", str(out)]) == 1
    assert "lists 2 films, but there are 1 folders" in capsys.readouterr().err


def test_avenue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "Avenue Dataset"
    for name in ("training_videos/01", "testing_videos/01", "testing_videos/02"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        level = len(name) * 5 + int(name[-1]) * 20
        write_clip(source / f"{name}.mp4", np.full((50, 64, 64, 3), level, np.uint8), rate=25)
        with av.open(str(source / f"{name}.mp4")) as given, av.open(str(source / f"{name}.avi"), "w") as out:
            stream = out.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 64
            for frame in given.decode(video=0):
                out.mux(stream.encode(frame.reformat(format="yuv420p")))
            out.mux(stream.encode(None))
        (source / f"{name}.mp4").unlink()
    masks = np.empty((1, 50), object)
    for i in range(50):
        masks[0, i] = np.zeros((64, 64), np.uint8)
        masks[0, i][3, 3] = 10 <= i < 20
    folder = source / "ground_truth_demo" / "testing_label_mask"
    folder.mkdir(parents=True)
    scipy_io.savemat(folder / "1_label.mat", {"volLabel": masks})
    assert main(["anomalies", "avenue", str(source), "--out", str(tmp_path / "out")]) == 1
    assert "there is no 2_label.mat" in capsys.readouterr().err
    scipy_io.savemat(folder / "2_label.mat", {"vol": np.zeros((64, 64, 50), np.uint8)}, do_compression=True)
    assert main(["anomalies", "avenue", str(source), "--out", str(tmp_path / "out")]) == 0
    clips = {clip.id: clip.abnormal for clip in read_manifest(tmp_path / "out" / "manifest.jsonl")}
    assert clips == {"train-01": (), "test-01": ((0.4, 0.8),), "test-02": ()}
    (folder / "1_label.mat").write_bytes(b"MATLAB 5.0 MAT-file, but no more")
    assert main(["anomalies", "avenue", str(source), "--out", str(tmp_path / "out")]) == 1
    assert "is not a .mat file that can be read" in capsys.readouterr().err


def test_own_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for level, name in enumerate(("normal/a", "test/b", "test/c")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_clip(tmp_path / f"{name}.mp4", np.full((10, 64, 64, 3), 60 * level, np.uint8), rate=10)
    table = tmp_path / "abnormal.csv"
    table.write_text("file,start,end\nb.mp4,0.2,0.5\n")
    assert main(["anomalies", "folder", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    clips = {clip.id: clip.abnormal for clip in read_manifest(tmp_path / "out" / "manifest.jsonl")}
    assert clips == {"train/a.mp4": (), "test/b.mp4": ((0.2, 0.5),), "test/c.mp4": ()}
    for row, error in (("b.mp4,0.5,0.2", "line 2: start and end"), ("d.mp4,0,1", "names d.mp4")):
        table.write_text(f"file,start,end\n{row}\n")
        assert main(["anomalies", "folder", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
        assert error in capsys.readouterr().err


def test_frames_as_matlab_writes_them() -> None:
    text = "A{end+1}.gt_frame = [ 5:7 , 12 ];\nA{end+1}.gt_frame=[];\n%A{end+1}.gt_frame = [1];"
    assert abnormal_frames(text) == [[5, 6, 7, 12], []]


@given(st.lists(st.booleans(), max_size=50))
def test_spans_hold_the_flags(flags: list[bool]) -> None:
    found = spans(flags, rate=1)
    assert [any(start <= i < end for start, end in found) for i in range(len(flags))] == flags
