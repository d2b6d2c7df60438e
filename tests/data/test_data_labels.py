"""Folders, UCF101, HMDB51 and tables become labelled clips; recordings stay on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.errors import DataError
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from data.__main__ import main
from data.labels import labels
from data.order import order
from data.verbs import verbs, words


def place(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_a_folder_a_class(tmp_path: Path) -> None:
    place(tmp_path, *(f"{action}/{i}.mp4" for action in ("riding_a_horse", "running") for i in range(20)))
    found = labels(tmp_path).clips
    assert {clip.labels for clip in found} == {("riding a horse",), ("running",)}
    for action in ("riding a horse", "running"):
        splits = [clip.split for clip in found if clip.labels == (action,)]
        assert {split: splits.count(split) for split in ("train", "val", "test")} == {"train": 16, "val": 2, "test": 2}
    assert labels(tmp_path).clips == found


def test_a_split_layout_keeps_its_test(tmp_path: Path) -> None:
    place(
        tmp_path, *(f"train/run/{i}.jpg" for i in range(10)), "test/run/a.jpg", *(f"train/walk/{i}.jpg" for i in "abc")
    )
    found = labels(tmp_path)
    assert [clip.id for clip in found.clips if clip.split == "test"] == ["test/run/a.jpg"]
    assert {clip.labels[0] for clip in found.clips if clip.split == "val"} == {"run", "walk"}
    assert any("1 classes without a clip in test: walk" in note for note in found.notes)


def test_copies_of_one_file_stay_together(tmp_path: Path) -> None:
    for i in range(12):
        for name in ("a", "b"):
            place(tmp_path, f"run/{name}{i}.mp4")
            (tmp_path / f"run/{name}{i}.mp4").write_text(str(i))
    splits = {clip.id: clip.split for clip in labels(tmp_path).clips}
    assert all(splits[f"run/a{i}.mp4"] == splits[f"run/b{i}.mp4"] for i in range(12))
    assert set(splits.values()) == {"train", "val", "test"}


def test_ucf101(tmp_path: Path) -> None:
    names = [f"v_Archery_g{g:02}_c{c:02}" for g in range(1, 8) for c in (1, 2, 3)]
    place(tmp_path, *(f"UCF-101/Archery/{name}.avi" for name in names))
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n")
    (lists / "trainlist01.txt").write_text("".join(f"Archery/{n}.avi 1\n" for n in names[3:]))
    (lists / "testlist01.txt").write_text("".join(f"Archery/{n}.avi\n" for n in names[:3]))
    found = labels(tmp_path).clips
    splits: dict[str, set[str]] = {}
    for clip in found:
        splits.setdefault(clip.id.split("_")[2], set()).add(clip.split)
    assert all(len(split) == 1 for split in splits.values())
    assert splits["g01"] == {"test"} and sum(split == {"val"} for split in splits.values()) == 1
    with pytest.raises(DataError, match="cannot read"):
        labels(tmp_path, number=2)


def test_hmdb51(tmp_path: Path) -> None:
    place(tmp_path, *(f"brush_hair/{i}.avi" for i in range(4)))
    (tmp_path / "splits").mkdir()
    lists = tmp_path / "splits" / "brush_hair_test_split1.txt"
    lists.write_text("0.avi 1 \n1.avi 1\n2.avi 2\n3.avi 0\n")
    found = {clip.id: clip for clip in labels(tmp_path).clips}
    assert set(found) == {f"brush_hair/{i}.avi" for i in range(3)}
    assert found["brush_hair/2.avi"].split == "test" and found["brush_hair/0.avi"].labels == ("brush hair",)
    lists.write_text("0.avi 7\n")
    with pytest.raises(DataError, match="line 1: expected"):
        labels(tmp_path)


def test_a_table(tmp_path: Path) -> None:
    place(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    table = tmp_path / "labels.csv"
    table.write_text("path,label,split\na.mp4,run;jump,train\nb.mp4,walk,valid\nc.mp4,walk,test\ngone.mp4,run,train\n")
    found = labels(table)
    assert [(clip.id, clip.labels, clip.split) for clip in found.clips] == [
        ("a.mp4", ("run", "jump"), "train"),
        ("b.mp4", ("walk",), "val"),
        ("c.mp4", ("walk",), "test"),
    ]
    assert found.captions_without_clip == ("gone.mp4",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.mp4,run\n", "must name the columns path and label"),
        ("path,label\na.mp4,\n", "line 2: a row needs a path and a label"),
        ("path,label,split\na.mp4,run,later\n", "'later' is not train, val or test"),
        ("path,label\n", "holds no rows"),
        ("path,label\nx.mp4,run\n", "holds none of the 1 clips"),
        ("path,label,split\na.mp4,run,train\nb.mp4,run,\n", "b.mp4 has no split"),
    ],
)
def test_tables_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    place(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        labels(tmp_path / "labels.csv")


def test_a_clip_outside_a_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1\.mp4 must lie in a folder named for its action"):
        labels(place(tmp_path, "run/0.mp4", "1.mp4"))


def test_verbs_are_what_most_people_say(tmp_path: Path) -> None:
    clips = [
        Clip(
            id=f"{verb}{i}",
            path=tmp_path / "x.mp4",
            split="train",
            captions=(f"a man is {verb}", f"he is {verb} it", "a man"),
        )
        for verb in ("running", "slicing", "cutting")
        for i in range(4)
    ]
    clips.append(Clip(id="odd", path=tmp_path / "x.mp4", split="train", captions=("a king", "a ring", "something")))
    write_manifest(tmp_path / "manifest.jsonl", clips)
    found = verbs(tmp_path / "manifest.jsonl", at_least=4)
    assert {clip.labels for clip in found.clips} == {("running",), ("cutting",)}
    assert not any(clip.captions for clip in found.clips)
    with pytest.raises(DataError, match="fewer than two classes"):
        verbs(tmp_path / "manifest.jsonl", at_least=6)


def test_labels_survive_the_manifest(tmp_path: Path) -> None:
    clip = Clip(id="a", path=tmp_path / "a.mp4", split="train", labels=("run", "jump"))
    write_manifest(tmp_path / "manifest.jsonl", [clip])
    assert read_manifest(tmp_path / "manifest.jsonl") == [clip]


def test_the_order_of_frames_is_all_that_tells_the_labels_apart(tmp_path: Path) -> None:
    clips = order(tmp_path, train=6, val=0, test=0)
    video = VideoConfig(frames=6, size=64)
    for forwards, backwards in zip(clips[::2], clips[1::2], strict=True):
        one, other = (sample_frames(clip.path, video).pixels for clip in (forwards, backwards) if clip.path)
        np.testing.assert_array_equal(one, other[::-1])
        assert forwards.labels != backwards.labels


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = place(tmp_path / "clips", *(f"{action}/{i}.mp4" for action in ("run", "walk") for i in range(5)))
    assert main(["labels", str(source), "--out", str(tmp_path / "out")]) == 0
    assert "10 clips with labels" in capsys.readouterr().err
    assert main(["order", "--train", "6", "--val", "0", "--test", "0", "--out", str(tmp_path / "order")]) == 0
    assert "6 clips with labels" in capsys.readouterr().err


def test_words_are_all_that_many_people_say(tmp_path: Path) -> None:
    clips = [
        Clip(
            id=f"{animal}{i}",
            path=tmp_path / "x.mp4",
            split="train",
            captions=(f"The {animal} is running", f"a {animal} runs in the park", f"{animal}s are running to it"),
        )
        for animal in ("dog", "cat")
        for i in range(3)
    ]
    write_manifest(tmp_path / "manifest.jsonl", clips)
    found = words(tmp_path / "manifest.jsonl", at_least=3)
    assert {clip.labels for clip in found.clips} == {
        ("dog", "dogs", "park", "running", "runs"),
        ("cat", "cats", "park", "running", "runs"),
    }
    with pytest.raises(DataError, match="fewer than two classes"):
        words(tmp_path / "manifest.jsonl", at_least=9)
