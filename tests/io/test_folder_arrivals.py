"""Files that come into folders: each once, when it stands still, whatever happens to the folder meanwhile."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from captioner.errors import CaptionerError
from captioner.io import folder_arrivals
from captioner.io.arrivals import Wanted
from captioner.io.folder_arrivals import FolderArrivals

SETTLE = 0.1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


class Taker:
    """Asks for what came."""

    def __init__(self, arrivals: FolderArrivals) -> None:
        self.arrivals, self.taken = arrivals, list[str]()

    def until(self, reached: Callable[[list[str]], bool], seconds: float = 10.0) -> list[str]:
        end = time.monotonic() + seconds
        while not reached(self.taken):
            assert time.monotonic() < end, self.taken
            if item := next(self.arrivals):
                self.taken.append(item.path)
            else:
                time.sleep(0.01)
        return self.taken

    def count(self, number: int) -> list[str]:
        return self.until(lambda taken: len(taken) >= number)

    def nothing_for(self, seconds: float) -> None:
        before = len(self.taken)
        end = time.monotonic() + seconds
        self.until(lambda taken: time.monotonic() > end)
        assert len(self.taken) == before, self.taken


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def taker(folder: Path, said: list[str]) -> Iterator[Taker]:
    (folder / "old.mp4").write_text("old")
    (folder / "note.txt").write_text("no video")
    (folder / ".hidden.mp4").write_text("hidden")
    with FolderArrivals([str(folder)], Wanted(recursive=True, say=said.append), settle_seconds=SETTLE) as watched:
        taker = Taker(watched)
        assert taker.count(1) == [str(folder / "old.mp4")]
        yield taker


def test_what_comes_is_taken_once(taker: Taker, folder: Path) -> None:
    (folder / "new.mp4").write_text("new")
    (folder / "new.txt").write_text("no video")
    (folder / ".new.mp4").write_text("hidden")
    (folder / ".part").mkdir()
    (folder / ".part" / "x.mp4").write_text("hidden")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.mp4").write_text("deep")
    assert sorted(taker.count(3)[1:]) == [str(folder / "new.mp4"), str(folder / "sub" / "deep.mp4")]
    os.utime(folder / "new.mp4")  # as when its content is replaced by one of the same size
    assert taker.count(4)[3] == str(folder / "new.mp4")
    taker.nothing_for(3 * SETTLE)
    assert taker.arrivals.waiting == 0


def test_a_file_that_grows_is_waited_for(folder: Path) -> None:
    with FolderArrivals([str(folder)], settle_seconds=0.5) as watched:
        taker = Taker(watched)
        with (folder / "grows.mp4").open("w") as file:
            for _ in range(8):
                file.write("more")
                file.flush()
                taker.nothing_for(0.08)  # longer in all than it takes to settle
                assert watched.waiting <= 1
        assert taker.count(1)[0].endswith("grows.mp4")


def test_renamed_moved_and_deleted_files(taker: Taker, folder: Path, tmp_path: Path) -> None:
    (folder / "gone.mp4").write_text("gone")
    (folder / "part.mp4").write_text("whole")
    (folder / "part.mp4").rename(folder / "whole.mp4")
    (folder / "gone.mp4").unlink()
    assert taker.count(2)[1:] == [str(folder / "whole.mp4")]
    (tmp_path / "outside" / "below").mkdir(parents=True)
    (tmp_path / "outside" / "below" / "a.mp4").write_text("a")
    (tmp_path / "outside").rename(folder / "moved")  # of the files in it the system says nothing
    assert taker.count(3)[2:] == [str(folder / "moved" / "below" / "a.mp4")]
    taker.nothing_for(2 * SETTLE)


def test_a_file_that_changes_while_it_waits_is_taken_as_it_becomes(taker: Taker, folder: Path) -> None:
    path = folder / "changes.mp4"
    path.write_text("one")
    end = time.monotonic() + 10
    while not taker.arrivals._ready and time.monotonic() < end:
        time.sleep(0.01)
    path.write_text("two, longer")
    (folder / "away.mp4").write_text("away")
    assert sorted(taker.count(3)[1:]) == [str(folder / "away.mp4"), str(path)]
    taker.nothing_for(3 * SETTLE)


def test_a_folder_that_goes_and_comes_back(taker: Taker, folder: Path, tmp_path: Path, said: list[str]) -> None:
    folder.rename(tmp_path / "away")
    taker.until(lambda taken: bool(said))
    assert said == [f"{folder} is gone; its files are taken when it comes back"]
    (tmp_path / "away" / "meanwhile.mp4").write_text("meanwhile")
    (tmp_path / "away").rename(folder)
    assert taker.count(2)[1:] == [str(folder / "meanwhile.mp4")] and said[1] == f"{folder} is back"
    taker.nothing_for(2 * SETTLE)  # the others are known
    shutil.rmtree(folder)
    taker.until(lambda taken: len(said) == 3)
    folder.mkdir()
    (folder / "old.mp4").write_text("another of this name")
    assert taker.count(3)[2] == str(folder / "old.mp4")


def test_a_thousand_at_once(taker: Taker, folder: Path) -> None:
    for number in range(1000):
        (folder / f"{number}.mp4").write_text(str(number))
    assert sorted(taker.count(1001)) == sorted(str(path) for path in folder.glob("[!.]*.mp4"))
    taker.nothing_for(2 * SETTLE)


def test_what_the_system_does_not_tell_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_arrivals, "_SCAN_SECONDS", 0.1)

    def deaf(*folders: str, stop_event: object, **options: object) -> Iterator[set[object]]:
        while True:
            time.sleep(0.02)
            yield set()

    monkeypatch.setattr("watchfiles.watch", deaf)
    with FolderArrivals([str(folder)], settle_seconds=SETTLE) as watched:
        taker = Taker(watched)
        taker.nothing_for(0.05)
        (folder / "a.mp4").write_text("a")
        (folder / "sub").mkdir()
        (folder / "sub" / "b.mp4").write_text("b")
        assert taker.count(1) == [str(folder / "a.mp4")]
        taker.nothing_for(3 * SETTLE)  # not recursive


def test_where_the_system_cannot_tell_folders_are_looked_at(
    folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    watch = watchfiles.watch

    def limited(*folders: str, force_polling: bool | None, **options: object) -> object:
        if not force_polling:
            raise OSError("OS file watch limit reached")
        return watch(*folders, force_polling=True, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("watchfiles.watch", limited)
    with FolderArrivals([str(folder)], Wanted(say=said.append), settle_seconds=SETTLE) as watched:
        taker = Taker(watched)
        taker.until(lambda taken: bool(said))
        taker.nothing_for(0.1)
        (folder / "a.mp4").write_text("a")
        assert taker.count(1) == [str(folder / "a.mp4")]
    assert "OS file watch limit reached" in said[0] and len(said) == 1


def test_a_file_that_cannot_be_read_fails_by_name_in_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = True
    read = folder_arrivals._can_be_read
    monkeypatch.setattr(folder_arrivals, "_can_be_read", lambda path, signature: not locked and read(path, signature))
    monkeypatch.setattr(folder_arrivals, "_MOST_TRIES", 3)
    for name in ("locked.mp4", "later.mp4"):
        (folder / name).write_text(name)
    with FolderArrivals(
        [str(folder)], Wanted(takes=lambda item: "later" not in item.path), settle_seconds=SETTLE
    ) as watched:
        taker = Taker(watched)
        taker.nothing_for(2 * SETTLE)
        assert watched.waiting == 1
        assert taker.count(1) == [str(folder / "locked.mp4")]
    assert not read(str(folder / "gone.mp4"), (1, 0, 0)) and not read(str(folder / "later.mp4"), (100, 0, 0))


def test_mistakes_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaptionerError, match=r"gone is not a folder"):
        FolderArrivals([str(folder / "gone")])
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(CaptionerError, match=r"pip install 'captioner\[watch\]'"):
        FolderArrivals([str(folder)])
