"""Files and folders are there whole or not at all, and none is replaced that nobody said to replace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from captioner.errors import CaptionerError
from captioner.safe.whole import WholeFile, check_folder, put, whole_folder, write_whole, writing

resource = pytest.importorskip("resource", reason="limits of Unix")


@contextmanager
def full_disk(bytes_left: int = 1000) -> Iterator[None]:
    """Files may not grow beyond this: what a full disk does to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_there_stays_unless_it_is_the_same_or_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    write_whole(path, "one\n")
    write_whole(path, "one\n")
    with pytest.raises(CaptionerError, match=r"a\.csv exists; --overwrite replaces it"):
        write_whole(path, "two\n")
    with pytest.raises(CaptionerError, match="exists"), WholeFile(path):
        pass
    assert path.read_text() == "one\n"
    write_whole(path, b"two\n", overwrite=True)
    assert path.read_text() == "two\n" and list(tmp_path.iterdir()) == [path]


def test_one_that_appears_meanwhile_stays_too(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match="exists"), WholeFile(tmp_path / "a.txt") as out:
        out.write("ours")
        (tmp_path / "a.txt").write_text("another's")
    assert (tmp_path / "a.txt").read_text() == "another's" and len(list(tmp_path.iterdir())) == 1


def test_where_there_are_no_links_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    test_what_is_there_stays_unless_it_is_the_same_or_empty(tmp_path)


def test_a_symbolic_link_stays_one_and_a_device_is_written_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_whole(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "x"
    write_whole(os.devnull, "x")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("part", ["text", "stream", "folder", "tensors", "safetensors"])
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path, part: str) -> None:
    import torch
    from safetensors.torch import save_file

    from captioner.training.runstate import save_tensors

    weights = {"a": torch.zeros(1000)}
    with full_disk(), pytest.raises(CaptionerError, match=r"^cannot write .*/(a|b)(/x)?: .+") as caught:
        if part == "text":
            write_whole(tmp_path / "a", "x" * 2000)
        elif part == "stream":
            with WholeFile(tmp_path / "a") as out:
                for _ in range(20):
                    out.write("x" * 10_000)
        elif part == "tensors":
            save_tensors(tmp_path / "a", weights)
        else:
            with whole_folder(tmp_path / "b") as folder:
                (folder / "x").write_text("x" * 2000) if part == "folder" else save_file(weights, folder / "x")
    assert not list(tmp_path.iterdir()) and "\n" not in str(caught.value)


def test_a_folder_is_replaced_when_said_and_keeps_what_is_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with whole_folder(folder) as new:
        (new / "weights").write_text("1")
    (folder / "README.md").write_text("by hand")
    with pytest.raises(CaptionerError, match="exists; --overwrite"), whole_folder(folder) as new:
        (new / "weights").write_text("2")
    assert (folder / "weights").read_text() == "1"
    with whole_folder(folder, overwrite=True, ours=lambda folder: {"weights", "old"}) as new:
        (new / "weights").write_text("2")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"weights": "2", "README.md": "by hand"}
    with pytest.raises(KeyboardInterrupt), whole_folder(folder, overwrite=True) as new:
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    check_folder(tmp_path, overwrite=False, ours=lambda folder: False)
    (tmp_path / "x").touch()
    for folder in (tmp_path, tmp_path / "x"):
        with pytest.raises(CaptionerError, match="exists and holds something else"):
            check_folder(folder, overwrite=True, ours=lambda folder: False)
    with pytest.raises(CaptionerError, match="exists; --overwrite replaces it"):
        check_folder(tmp_path, overwrite=False, ours=lambda folder: True)
    check_folder(tmp_path, overwrite=True, ours=lambda folder: True)


def test_a_fault_of_ours_is_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a fault"), writing(tmp_path / "a"):
        raise ValueError("a fault")
    with pytest.raises(FileNotFoundError):
        put(tmp_path / "gone", tmp_path / "a", overwrite=True)
