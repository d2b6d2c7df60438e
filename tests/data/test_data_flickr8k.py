"""Flickr8k: photos as a folder or a tar become one-frame clips, and a tar writes nowhere but into its folder."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from captioner.errors import CaptionerError, DataError
from data.flickr8k import extract_photos, flickr8k, read_captions, read_splits
from data.join import Join


def place(folder: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


FLICKR = {
    "Flickr8k.token.txt": "1_a.jpg#0\tA man .\n1_a.jpg#1\tA  person .\n2_b.jpg#0\tA dog .\n3_c.jpg#0\tA cat .\n"
    "4_d.jpg#0\tA bird .\n5_e.jpg.1#0\tNothing .\n",
    "Flickr_8k.trainImages.txt": "1_a.jpg\n",
    "Flickr_8k.devImages.txt": "2_b.jpg\n",
    "Flickr_8k.testImages.txt": "3_c.jpg",
}


def photo_tar(path: Path, names: Sequence[str]) -> None:
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))


def check_flickr8k(result: Join, folder: Path, *, suffix: str) -> None:
    assert [(c.id, c.path, c.split, c.captions) for c in result.clips] == [
        ("1_a", folder / f"1_a{suffix}", "train", ("A man .", "A person .")),
        ("2_b", folder / f"2_b{suffix}", "val", ("A dog .",)),
        ("3_c", folder / f"3_c{suffix}", "test", ("A cat .",)),
    ]
    assert result.captions_without_split == ("4_d",)
    assert result.captions_without_clip == ("5_e.jpg.1",)
    assert result.clips_without_captions == ("6_f",)


def test_flickr8k_folder_of_photos(tmp_path: Path) -> None:
    names = ("1_a", "2_b", "3_c", "4_d", "6_f")
    place(tmp_path, FLICKR | {f"Flicker8k_Dataset/{name}.jpg": name for name in names})
    check_flickr8k(flickr8k(tmp_path, out=tmp_path / "out"), tmp_path / "Flicker8k_Dataset", suffix=".jpg")
    assert not (tmp_path / "out").exists()


def test_flickr8k_photos_of_a_tar_are_extracted_once(tmp_path: Path) -> None:
    place(tmp_path / "in", FLICKR)
    photo_tar(tmp_path / "p.tar", ["./", "x/1_a.webp", "2_b.webp", "3_c.webp", "4_d.webp", "6_f.webp", "readme.txt"])
    out, photos = tmp_path / "out", tmp_path / "out" / "photos"
    check_flickr8k(flickr8k(tmp_path / "in", out=out, photos=tmp_path / "p.tar"), photos, suffix=".webp")
    assert {path.name for path in photos.iterdir()} == {"1_a.webp", "2_b.webp", "3_c.webp"}
    assert (photos / "1_a.webp").read_text() == "x/1_a.webp"

    times = {path: path.stat().st_mtime_ns for path in photos.iterdir()}
    (photos / "2_b.webp").write_text("by hand")
    with pytest.raises(CaptionerError, match=r"2_b\.webp exists; --overwrite replaces it"):
        flickr8k(tmp_path / "in", out=out, photos=tmp_path / "p.tar")
    assert (photos / "2_b.webp").read_text() == "by hand"
    flickr8k(tmp_path / "in", out=out, photos=tmp_path / "p.tar", overwrite=True)
    assert (photos / "2_b.webp").read_text() == "2_b.webp"
    unchanged = [path for path in times if path.stat().st_mtime_ns == times[path]]
    assert {path.name for path in unchanged} == {"1_a.webp", "3_c.webp"}


def test_flickr8k_a_tar_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    place(tmp_path / "in", FLICKR)
    (tmp_path / "secret.jpg").write_text("secret")
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        for size, name in enumerate(("../../1_a.jpg", str(tmp_path / "2_b.jpg")), start=1):
            member = tarfile.TarInfo(name)
            member.size = size
            tar.addfile(member, io.BytesIO(bytes(size)))
        link = tarfile.TarInfo("3_c.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.jpg")
        tar.addfile(link)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    result = flickr8k(tmp_path / "in", out=tmp_path / "deep" / "out", photos=tmp_path / "p.tar")
    assert [clip.id for clip in result.clips] == ["1_a", "2_b"], "a link is not taken for a photo"
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.parent for path in new} == {tmp_path / "deep" / "out" / "photos"}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"Flickr8k.token.txt": "1_a.jpg A man .\n"}, "Flickr8k.token.txt, line 1: expected"),
        ({"Flickr_8k.testImages.txt": "1_a.jpg\n"}, "'1_a' is in two splits, train and test"),
        ({"images/1_a.jpg": "x", "images/3_c.jpg": "x"}, "holds the same video"),
        ({"images/x.txt": ""}, "holds no media files"),
        ({}, "has none of Flicker8k_Dataset"),
        ({"images.tar": "not a tar"}, "neither a folder of photos nor a whole tar"),
    ],
)
def test_flickr8k_bad_layouts(tmp_path: Path, contents: dict[str, str], message: str) -> None:
    place(tmp_path, FLICKR | contents)
    with pytest.raises(DataError, match=message):
        flickr8k(tmp_path, out=tmp_path / "out")


def test_flickr8k_a_cut_tar_is_refused(tmp_path: Path) -> None:
    place(tmp_path, FLICKR)
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        for name in ("1_a.jpg", "2_b.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 2000
            tar.addfile(member, io.BytesIO(bytes(2000)))
    whole = (tmp_path / "images.tar").read_bytes()
    (tmp_path / "images.tar").write_bytes(whole[:3500])
    with pytest.raises(DataError, match="nor a whole tar"):
        flickr8k(tmp_path, out=tmp_path / "out")


def test_the_real_flickr8k(shared: Path, tmp_path: Path) -> None:
    source = shared / "flickr8k"
    captions, splits = read_captions(source), read_splits(source)
    assert Counter(splits.values()) == {"train": 6000, "val": 1000, "test": 1000}
    assert len(captions) == 8091 and {len(sentences) for sentences in captions.values()} == {5}
    wanted = {"1000268201_693b08cb0e", "997722733_0cb5439472"}
    files = extract_photos(source / "images.tar", tmp_path, wanted=wanted)
    assert files.keys() == captions.keys() > splits.keys()
    assert {path.stem for path in tmp_path.iterdir()} == wanted
