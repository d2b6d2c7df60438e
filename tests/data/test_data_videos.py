"""The published layouts of MSVD, MSR-VTT and VATEX: small ones made here, and the real ones where they are."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from captioner.errors import DataError
from captioner.manifest import Clip
from data.join import Join
from data.msrvtt import msrvtt
from data.msvd import msvd
from data.vatex import vatex


def place(folder: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def splits(clips: Sequence[Clip]) -> dict[str, int]:
    return dict(Counter(clip.split for clip in clips))


# MSVD

MAPPING = "aaa_0_5 vid1\nb_b_2_9 vid2\n-cc_1_4 vid1201\nddd_3_8 vid1301"
SENTENCES = {
    "sents_train_lc_nopunc.txt": "vid1\ta man is  eating\nvid1\ta man eats\nvid2\ta dog runs\n",
    "sents_val_lc_nopunc.txt": "vid1201\ta cat sleeps\n",
    "sents_test_lc_nopunc.txt": "vid1301\ta bird sings\n",
}
MSVD = {"youtube_mapping.txt": MAPPING, **SENTENCES}
CLIPS = {"clips/aaa_0_5.mp4": "1", "clips/-cc_1_4.mp4": "2", "clips/ddd_3_8.mp4": "3", "clips/eee_0_1.mp4": "4"}


def check_msvd(result: Join, folder: Path, *, suffix: str) -> None:
    assert [(c.id, c.path, c.split, c.captions) for c in result.clips] == [
        ("vid1", folder / f"aaa_0_5{suffix}", "train", ("a man is eating", "a man eats")),
        ("vid1201", folder / f"-cc_1_4{suffix}", "val", ("a cat sleeps",)),
        ("vid1301", folder / f"ddd_3_8{suffix}", "test", ("a bird sings",)),
    ]
    assert [(c.id, c.path, c.captions) for c in result.text] == [("vid2", None, ("a dog runs",))]
    assert result.clips_without_captions == ("eee_0_1",)
    assert result.captions_without_clip == ("vid2",)


def test_msvd_with_sentence_files(tmp_path: Path) -> None:
    place(tmp_path, MSVD | CLIPS)
    check_msvd(msvd(tmp_path), tmp_path / "clips", suffix=".mp4")


def test_msvd_with_the_published_descriptions(tmp_path: Path) -> None:
    descriptions = (
        "# 2 lines of comment\n#\naaa_0_5 a man is eating\naaa_0_5 a man eats\nb_b_2_9 a dog runs\n"
        "-cc_1_4 a cat sleeps\nddd_3_8 a bird sings\n"
    )
    place(tmp_path, {"youtube_mapping.txt": MAPPING, "AllVideoDescriptions.txt": descriptions})
    place(tmp_path, {name.replace("clips", "YouTubeClips").replace("mp4", "avi"): c for name, c in CLIPS.items()})
    check_msvd(msvd(tmp_path), tmp_path / "YouTubeClips", suffix=".avi")


def test_msvd_clips_may_be_elsewhere_or_not_wanted(tmp_path: Path) -> None:
    place(tmp_path / "a", MSVD)
    place(tmp_path / "b", CLIPS)
    check_msvd(msvd(tmp_path / "a", videos=tmp_path / "b"), tmp_path / "b" / "clips", suffix=".mp4")
    with pytest.raises(DataError, match=r"--videos.*--text-only"):
        msvd(tmp_path / "a")
    only = msvd(tmp_path / "a", text_only=True)
    assert not only.clips
    assert [clip.id for clip in only.text] == ["vid1", "vid2"], "the captions of val and test are never text"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"youtube_mapping.txt": "vid1"}, "youtube_mapping.txt, line 1: expected"),
        ({"youtube_mapping.txt": "aaa_0_5 vid1\nb_0_1 vid1"}, "line 2: vid1 appears twice"),
        ({"youtube_mapping.txt": ""}, "youtube_mapping.txt is empty"),
        ({"sents_val_lc_nopunc.txt": "vid1201 a cat\n"}, "sents_val_lc_nopunc.txt, line 1: expected"),
        ({"sents_test_lc_nopunc.txt": "vid1\ta cat\n"}, "'vid1' is in two splits, train and test"),
        ({"youtube_mapping.txt": MAPPING.replace("ddd_3_8", "aaa_4_8")}, "'vid1' .*'vid1301' .*the same moment of aaa"),
        ({"clips.csv": "video_id,split\nvid1,test\n"}, "clips.csv puts vid1 into test, the captions put it into train"),
        ({"clips.csv": "id,split\n"}, "must name the columns video_id and split"),
    ],
)
def test_msvd_bad_layouts(tmp_path: Path, contents: dict[str, str], message: str) -> None:
    place(tmp_path, MSVD | CLIPS | {"clips/aaa_4_8.mp4": "5"} | contents)
    with pytest.raises(DataError, match=message):
        msvd(tmp_path)


def test_msvd_missing_parts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        msvd(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"cannot read .*youtube_mapping\.txt"):
        msvd(tmp_path)
    place(tmp_path, {"youtube_mapping.txt": MAPPING})
    with pytest.raises(DataError, match=r"neither sents_train_lc_nopunc\.txt.* nor AllVideoDescriptions\.txt"):
        msvd(tmp_path)


def test_the_real_msvd(shared: Path) -> None:
    result = msvd(shared / "msvd")
    assert splits(result.clips) == {"train": 325, "val": 28, "test": 167}
    assert len(result.text) == 1200 - 325
    assert len(result.captions_without_clip) == 1935 - 520
    assert not result.clips_without_captions
    sentences = (shared / "msvd" / "sents_train_lc_nopunc.txt").read_text().splitlines()
    train = [clip for clip in (*result.clips, *result.text) if clip.split == "train"]
    assert sum(len(clip.captions) for clip in train) == len(sentences)
    assert not {clip.id for clip in result.clips} & {clip.id for clip in result.text}


# MSR-VTT


def video(number: int, split: str, *, url: str = "", start: float = 0.0, category: int = 9) -> dict[str, Any]:
    span = {"start time": start, "end time": start + 10}
    return {
        "id": number,
        "video_id": f"video{number}",
        "split": split,
        "url": url or f"u{number}",
        "category": category,
    } | span


def annotations(videos: list[dict[str, Any]]) -> str:
    sentences = [
        {"sen_id": k, "video_id": video["video_id"], "caption": f"caption {k}\tof {video['video_id']}\n"}
        for video in videos
        for k in (0, 1)
    ]
    return json.dumps({"info": {}, "videos": videos, "sentences": sentences})


TRAIN_VAL = annotations([video(0, "train"), video(1, "train", category=3), video(2, "validate")])
TEST = annotations([video(7, "test", category=77)])


def check_msrvtt(result: Join) -> None:
    assert [(c.id, c.split, c.category, c.captions) for c in result.clips] == [
        ("video0", "train", "vehicles/autos", ("caption 0 of video0", "caption 1 of video0")),
        ("video2", "val", "vehicles/autos", ("caption 0 of video2", "caption 1 of video2")),
        ("video7", "test", "77", ("caption 0 of video7", "caption 1 of video7")),
    ]
    assert [(c.id, c.category) for c in result.text] == [("video1", "sports/actions")]
    assert result.clips_without_captions == ("video9",)


def test_msrvtt_plain_and_zipped(tmp_path: Path) -> None:
    videos = {"TrainValVideo/video0.mp4": "0", "TrainValVideo/video2.mp4": "2", "TestVideo/video7.mp4": "7"}
    categories = "sports/actions\t3\nvehicles/autos\t9\n"
    plain = place(tmp_path / "plain", videos | {"TestVideo/video9.mp4": "9", "category.txt": categories})
    place(plain, {"train_val_videodatainfo.json": TRAIN_VAL, "test_videodatainfo.json": TEST})
    check_msrvtt(msrvtt(plain))

    zipped = tmp_path / "zipped"
    zipped.mkdir()
    with zipfile.ZipFile(zipped / "a.zip", "w") as archive:
        archive.writestr("train_val_annotation/train_val_videodatainfo.json", TRAIN_VAL)
        archive.writestr("train_val_annotation/category.txt", categories)
    with zipfile.ZipFile(zipped / "b.zip", "w") as archive:
        archive.writestr("test_videodatainfo.json", TEST)
    (tmp_path / "all").mkdir()
    for path in plain.glob("*/*.mp4"):
        shutil.copy(path, tmp_path / "all")
    check_msrvtt(msrvtt(zipped, videos=tmp_path / "all"))

    text = msrvtt(zipped, text_only=True)
    assert ([clip.id for clip in text.text], text.clips) == (["video0", "video1"], ())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test_videodatainfo.json", "{", "test_videodatainfo.json is not valid JSON"),
        ("test_videodatainfo.json", "[]", "not in the 2016 layout"),
        ("test_videodatainfo.json", '{"videos": [{"video_id": "v"}], "sentences": []}', "layout .*KeyError 'split'"),
        ("test_videodatainfo.json", annotations([video(1, "test")]), "'video1' is in two splits, train and test"),
        ("test_videodatainfo.json", annotations([video(8, "test", url="u0", start=9)]), "the same moment of u0"),
        ("z.zip", "not a zip", "cannot be unpacked"),
    ],
)
def test_msrvtt_bad_layouts(tmp_path: Path, name: str, content: str, message: str) -> None:
    place(tmp_path, {"train_val_videodatainfo.json": TRAIN_VAL, name: content, "videos/video8.mp4": ""})
    with pytest.raises(DataError, match=message):
        msrvtt(tmp_path)


def test_msrvtt_missing_parts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither train_val_videodatainfo"):
        msrvtt(tmp_path)
    place(tmp_path, {"test_videodatainfo.json": TEST})
    with pytest.raises(DataError, match=r"--videos.*--text-only"):
        msrvtt(tmp_path)
    with pytest.raises(DataError, match="no train captions"):
        msrvtt(tmp_path, text_only=True)


def test_the_real_msrvtt(shared: Path) -> None:
    result = msrvtt(shared / "msrvtt", text_only=True)
    assert len(result.text) == 6513
    assert len(result.captions_without_clip) == 10_000
    assert sum(len(clip.captions) for clip in result.text) == 6513 * 20
    assert result.text[0].category == "vehicles/autos"
    assert not result.notes, "no source video is in two splits"


# VATEX


def test_vatex(tmp_path: Path) -> None:
    def entries(*names: str) -> str:
        return json.dumps([{"videoID": n, "enCap": [f"A  caption of {n}.", " "], "chCap": ["一"]} for n in names])

    place(
        tmp_path,
        {
            "vatex_training_v1.0.json": entries("abc_000001_000011", "gone_000001_000011"),
            "vatex_validation_v1.0.json": entries("v-_l_000005_000015"),
            "vatex_public_test_english_v1.1.json": entries("t_000000_000010"),
            "vatex_private_test_without_annotations.json": json.dumps([{"videoID": "secret_000000_000010"}]),
            "package.json": "{}",
            "videos/abc_000001_000011.mp4": "1",
            "videos/v-_l_000005_000015.mp4": "2",
            "videos/t_000000_000010.mp4": "3",
            "videos/secret_000000_000010.mp4": "4",
        },
    )
    result = vatex(tmp_path)
    assert {(c.id, c.split, c.captions) for c in result.clips} == {
        ("abc_000001_000011", "train", ("A caption of abc_000001_000011.",)),
        ("v-_l_000005_000015", "val", ("A caption of v-_l_000005_000015.",)),
        ("t_000000_000010", "test", ("A caption of t_000000_000010.",)),
    }
    assert [clip.id for clip in result.text] == ["gone_000001_000011"]
    assert result.clips_without_captions == ("secret_000000_000010",)
    assert result.notes == ("package.json was not read: its name has none of train, val, test",)
    assert len(vatex(tmp_path, text_only=True).text) == 2


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, "holds no VATEX list"),
        ({"train.json": "{}"}, "not a VATEX list"),
        ({"train.json": "[1]"}, "train.json, entry 1: expected an object with videoID"),
        ({"train.json": '[{"videoID": "a", "enCap": "x"}]'}, "entry 1: expected"),
        ({"train.json": '[{"videoID": "a", "enCap": [1]}]'}, r"entry 1 \(a\): enCap must be a list of strings"),
        ({"train.json": '[{"videoID": "a"}]', "test.json": '[{"videoID": "a"}]'}, "'a' is in two splits"),
        ({"train.json": '[{"videoID": "a"}]'}, "name the videos' folder with --videos"),
    ],
)
def test_vatex_bad_layouts(tmp_path: Path, contents: dict[str, str], message: str) -> None:
    place(tmp_path, contents)
    with pytest.raises(DataError, match=message):
        vatex(tmp_path)
