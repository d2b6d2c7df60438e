"""The journal: whatever happens to a run, what it has written is there and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.archive.journal import Journal, shard_of
from captioner.errors import CaptionerError
from captioner.io.inputs import Shard

ROOT = Path(__file__).parents[2]


def done(number: int, path: str = "a.mp4") -> dict[str, object]:
    return {"key": f"{number:032x}", "path": path, "captions": [{"caption": "ein Hund läuft" * (number % 5)}]}


def failed(number: int, path: str = "a.mp4") -> dict[str, object]:
    return {"key": f"{number:032x}", "path": path, "code": "damaged", "message": "it is damaged"}


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        offsets = [journal.append(done(i)) for i in range(20)] + [journal.append(failed(50, "x\n\udcff.mp4"))]
        assert journal.read(offsets[7]) == done(7)
    with Journal(path) as journal:
        assert not journal.repaired
        for number, offset in enumerate(offsets[:20]):
            entry = journal.find(f"{number:032x}", "another name")
            assert entry is not None and not entry.failed and entry.offset == offset
            assert journal.read(entry.offset) == done(number)
        entry = journal.find(f"{50:032x}", "x\n\udcff.mp4")
        assert entry is not None and entry.failed
        assert journal.find(f"{50:032x}", "another name") is None
        assert journal.find(f"{99:032x}", "a.mp4") is None
        journal.append(done(50, "x\n\udcff.mp4"))
        entry = journal.find(f"{50:032x}", "x\n\udcff.mp4")
        assert entry is not None and not entry.failed


def test_a_journal_that_is_written_anew_begins_with_the_format(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append(done(1))
    with Journal(path, overwrite=True, shard="2/3") as journal:
        assert journal.find(f"{1:032x}", "") is None
        journal.append(done(2))
    header, run, record = path.read_bytes().splitlines()
    assert header == b'{"captioner_journal":1}' and json.loads(record) == done(2)
    assert json.loads(run)["run"]["shard"] == "2/3"
    assert shard_of(path) == Shard.parse("2/3") and shard_of(tmp_path / "none") is None
    with Journal(path, overwrite=True):
        pass
    assert shard_of(path) is None


def test_cut_off_anywhere_it_opens_with_all_whole_lines(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with Journal(whole) as journal:
        start = journal.append(done(0))
        for number in range(1, 4):
            journal.append(done(number))
    data = whole.read_bytes()
    for length in range(0, len(data) + 1, 7):
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        with Journal(path) as journal:
            lines = data[start:length].count(b"\n") if length > start else 0
            assert [journal.find(f"{n:032x}", "") is not None for n in range(4)] == [n < lines for n in range(4)]
            assert journal.repaired == (data[length - 1 : length] not in (b"", b"\n"))
            journal.append(done(9))
        for line in path.read_bytes().splitlines():
            json.loads(line)


def test_a_line_of_rubbish_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append(done(1))
    with path.open("ab") as file:
        file.write(b'\0\0\0\n{"key": "zz", "path": "", "captions": []}\n[]\n')
    with Journal(path) as journal:
        assert journal.find(f"{1:032x}", "") is not None
        journal.append(done(2))
    with Journal(path) as journal:
        assert journal.find(f"{2:032x}", "") is not None


@pytest.mark.parametrize(
    "line",
    [
        '{"output": 3}',
        '{"key": "00"}',
        '{"key": "00", "path": "a.mp4", "code": "damaged"}',
        '{"key": "00", "path": "a.mp4", "message": "it is damaged"}',
        '{"key": "00", "captions": []}',
        '{"key": 0, "path": "a.mp4", "captions": []}',
    ],
)
def test_a_record_that_lacks_something_is_passed_over(tmp_path: Path, line: str) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append(done(1))
    with (tmp_path / "j").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with Journal(tmp_path / "j") as journal:
        assert journal.find("00", "a.mp4") is None and not journal.owns(3)  # type: ignore[arg-type]
        assert not journal.repaired and journal.find(f"{1:032x}", "") is not None


def test_a_record_without_its_line_end_is_not_whole(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append(done(1))
        journal.append(done(2))
    data = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(data[:-1])
    with Journal(tmp_path / "j") as journal:
        assert journal.repaired
        assert [journal.find(f"{number:032x}", "") is not None for number in (1, 2)] == [True, False]


def test_closing_puts_it_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    Journal(tmp_path / "j").close()
    assert len(synced) == 1


@pytest.mark.parametrize("with_pread", [True, False])
def test_long_records_are_read_whole(tmp_path: Path, with_pread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system has no pread, as Windows."""
    if not with_pread:
        monkeypatch.delattr(os, "pread", raising=False)
    with Journal(tmp_path / "j") as journal:
        for number in (1, 2, 3):
            record = done(number) | {"message": f"{number}" * ((1 << 16) * number)}
            assert journal.read(journal.append(record)) == record


def test_an_output_is_claimed_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for _ in range(2):
            journal.claim("a.srt")
    assert (tmp_path / "j").read_text(encoding="utf-8").count("a.srt") == 1


def test_who_only_reads_neither_waits_nor_writes(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append(done(1))
        journal.claim("a.srt")
        before = path.read_bytes()
        with Journal(path, read_only=True) as reader:
            entry = reader.find(f"{1:032x}", "")
            assert entry is not None and reader.read(entry.offset) == done(1) and reader.owns("a.srt")
    assert path.read_bytes() == before
    with pytest.raises(CaptionerError, match=r"cannot read .*none: No such file"):
        Journal(tmp_path / "none", read_only=True)
    with pytest.raises(CaptionerError, match="cannot write "):
        Journal(tmp_path)


def test_the_run_that_holds_it_is_the_last_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path).close()
    with path.open("a", encoding="utf-8") as file:
        file.write('{"run": 1}\n{"run": {"pid": 77, "host": "there"}}\n{"key": "00", "path": "a", "captions": []}\n')
    with Journal(path) as journal:
        data = path.read_bytes()
        path.write_bytes(data.replace(str(os.getpid()).encode(), b"88"))
        with pytest.raises(CaptionerError, match=r"another run \(process 88 on "):
            Journal(path)
        path.write_bytes(data)
        assert journal.find("00", "") is not None


def test_overwrite_begins_anew(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append(done(1))
        journal.claim("a.srt")
    with Journal(tmp_path / "j") as journal:
        assert journal.owns("a.srt") and not journal.owns("b.srt")
    with Journal(tmp_path / "j", overwrite=True) as journal:
        assert journal.find(f"{1:032x}", "a.mp4") is None and not journal.owns("a.srt")
    assert b"a.srt" not in (tmp_path / "j").read_bytes() and (tmp_path / "j").read_bytes().startswith(b"{")


@pytest.mark.parametrize("overwrite", [False, True])
def test_somebody_elses_file_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("years of work\n")
    with pytest.raises(CaptionerError, match="is not a journal of captioner"):
        Journal(path, overwrite=overwrite)
    assert path.read_text() == "years of work\n"


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append(done(1))
        before = path.read_bytes()
        with pytest.raises(CaptionerError, match=r"another run \(process \d+ on .+\) is writing to .*j; wait for it"):
            Journal(path, overwrite=True)
        assert path.read_bytes() == before
    Journal(path).close()


FULL = """
import resource, signal, sys
from captioner.errors import CaptionerError
from captioner.archive.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
with Journal(sys.argv[1]) as journal:
    try:
        for number in range(10**6):
            journal.append({"key": f"{number:032x}", "path": "a.mp4", "captions": [{"caption": "ab" * number}]})
    except CaptionerError as error:
        print(number, error)
"""


@pytest.mark.parametrize("how", ["limit", "tmpfs"])
def test_a_full_disk_loses_nothing(tmp_path: Path, how: str) -> None:
    folder, limit = tmp_path, 20_000
    if how == "tmpfs":
        folder, limit = tmp_path / "small", 0
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a file system: run as root, outside a container")
    try:
        path = folder / "j"
        command = [sys.executable, "-c", FULL, str(path), str(limit)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=True)
        count, message = run.stdout.split(" ", 1)
        assert "finished results are kept" in message and int(count) > 5
        assert path.stat().st_size > 10_000 and path.read_bytes().endswith(b"\n")
        for line in path.read_bytes().splitlines():
            json.loads(line)
        if how == "tmpfs":
            subprocess.run(["mount", "-o", "remount,size=1m", str(folder)], check=True)
        with Journal(path) as journal:
            assert not journal.repaired
            assert [journal.find(f"{n:032x}", "") is not None for n in range(int(count) + 1)] == [True] * int(count) + [
                False
            ]
    finally:
        if how == "tmpfs":
            subprocess.run(["umount", str(folder)], check=True)
