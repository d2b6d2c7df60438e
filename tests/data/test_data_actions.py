"""Folders of actions become captioned clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from captioner.errors import DataError
from data.actions import actions, spoken


def place(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_actions(tmp_path: Path) -> None:
    found = actions(place(tmp_path, "train/riding_a_horse/1.jpg", "train/phoning/a/2.mp4", "test/PlayingPiano/3.avi"))
    by_id = {clip.id: clip for clip in found.clips}
    assert set(by_id) == {"train/riding_a_horse/1.jpg", "train/phoning/a/2.mp4", "test/PlayingPiano/3.avi"}
    clip = by_id["train/riding_a_horse/1.jpg"]
    assert (clip.split, clip.category) == ("train", "riding a horse")
    assert clip.captions == ("a man is riding a horse", "a woman is riding a horse", "a person is riding a horse")
    assert by_id["train/phoning/a/2.mp4"].captions[0] == "a man is talking on a phone"
    assert by_id["test/PlayingPiano/3.avi"].split == "test"


@pytest.mark.parametrize(
    ("label", "words"),
    [("walking_the_dog", "walking the dog"), ("TaiChi", "tai chi"), ("watching_TV", "watching TV"), ("run", "run"),
     ("RidingAHorse", "riding a horse"), ("tap-dancing", "tap dancing")],
)  # fmt: skip
def test_labels_are_spoken(label: str, words: str) -> None:
    assert spoken(label) == words


@pytest.mark.parametrize("name", ["riding/1.jpg", "train/1.jpg", "other/riding/1.jpg", "train/notes.txt"])
def test_other_layouts_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"must lie in train|holds no clips"):
        actions(place(tmp_path, name))


def test_the_real_stanford40_has_forty_actions(shared: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(shared / "stanford40" / "images.tar") as archive:
        names = [member.name for member in archive if member.isfile()]
    place(tmp_path, *{str(Path(name).parent / "photo.webp") for name in names})
    found = actions(tmp_path)
    assert len({clip.category for clip in found.clips}) == 40
    assert all(clip.captions[0].split()[3].endswith("ing") for clip in found.clips)
