"""Files of stores: brought to this machine, captioned as local ones are, and gone afterwards."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from captioner import Captioner
from captioner.archive.engine import Outcome, Settings
from captioner.archive.fetched import Fetching, caption_fetched
from captioner.archive.journal import Journal
from captioner.archive.pool import DecodePool
from captioner.archive.run import Archive
from captioner.cli import main
from captioner.io import stores as module
from captioner.io.inputs import find_inputs
from captioner.io.scratch import Scratch
from captioner.io.stores import Stores
from tests.faulty_proxy import Fault, Proxy, faulty_proxy
from tests.media import render_clip, render_text
from tests.s3_server import S3, SECRET, environment

ROOT = Path(__file__).parents[2]
Run = Callable[..., dict[str, Outcome]]


@pytest.fixture(scope="module")
def captioner(checkpoint: Path) -> Captioner:
    return Captioner.load(checkpoint)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(workers=2) as pool:
        yield pool


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [render_clip(folder / f"{i}.mp4", frames=12 + i, gop=4, size=(32, 24)) for i in range(3)]


def varied(clip: Path, number: int) -> bytes:
    """The clip in a file of its own content: with a box at its end that players pass by."""
    return clip.read_bytes() + b"\0\0\0\x09free" + bytes([number])


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the program and the S3 server, whose environment the test has."""
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)
    with faulty_proxy(s3.address) as proxy:
        for name, value in environment(proxy.address).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def run(captioner: Captioner, pool: DecodePool, tmp_path: Path) -> Run:
    """Caption what an address names, with a journal that stays; the outcomes by name."""

    def run(address: str, *, stores: Stores | None = None, ahead: int = 8) -> dict[str, Outcome]:
        stores = stores or Stores()
        settings = Settings(video=captioner.video, search=captioner.search)
        items = find_inputs([address], recursive=True, stores=stores).items
        fetching = Fetching(stores=stores, scratch=str(tmp_path / "scratch"), ahead=ahead)
        with Journal(tmp_path / "journal") as journal:
            archive = Archive(items, settings=settings, model="m", journal=journal, stores=stores)
            found = list(
                archive.outcomes(
                    lambda tasks: caption_fetched(tasks, captioner, settings=settings, pool=pool, fetching=fetching)
                )
            )
        assert [outcome.task.item.path for outcome in found] == [item.path for item in items]
        assert not list((tmp_path / "scratch").glob("*"))
        return {outcome.task.item.path: outcome for outcome in found}

    return run


def test_a_prefix_is_captioned_like_a_folder(
    s3: S3,
    proxy: Proxy,
    checkpoint: Path,
    clips: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["b.mp4", "sub/c.webm", "a.MP4", "none.mp4", "notes.txt", ".hidden/d.mp4"]
    files = dict(zip(names, [*clips, b"", b"text", clips[0].read_bytes()], strict=True))
    s3.fill("like-a-folder", {f"in/{name}": content for name, content in files.items()})
    for name, content in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    scratch = tmp_path / "scratch"
    rows = {}
    for kind, source in (("local", str(tmp_path / "in") + "/"), ("s3", "s3://like-a-folder/in/")):
        out = tmp_path / f"{kind}.jsonl"
        options = ["-o", str(out), "-m", str(checkpoint), "--jobs", "1", "--scratch", str(scratch)]
        assert main(["caption", source, "-r", *options]) == 1
        rows[kind] = [json.loads(line) for line in (*out.open(), *(tmp_path / f"{kind}.jsonl.failures.jsonl").open())]
        for row in rows[kind]:
            row["path"] = row["path"].removeprefix(source)
            row.pop("error", None)
    assert [row["path"] for row in rows["s3"]] == ["a.MP4", "b.mp4", "sub/c.webm", "none.mp4"]
    assert rows["s3"] == rows["local"] and rows["s3"][-1]["code"] == "empty"
    assert list(scratch.iterdir()) == []
    assert "3 captioned, 1 failed" in capsys.readouterr().err


def test_what_is_known_is_not_fetched_again(s3: S3, proxy: Proxy, run: Run, clips: list[Path], tmp_path: Path) -> None:
    text = render_text(tmp_path / "text.mp4")
    s3.fill("known", {"a.mp4": clips[0], "b.mp4": clips[1], "text.mp4": text})
    first = run("s3://known/")
    failure = first["s3://known/text.mp4"].failure
    assert failure and failure.code == "no_video" and failure.message.startswith("s3://known/text.mp4 is a text file")
    s3.client.put_object(Bucket="known", Key="moved.mp4", Body=clips[0].read_bytes())
    s3.client.put_object(Bucket="known", Key="b.mp4", Body=clips[2].read_bytes())
    proxy.asked.clear()
    again = run("s3://known/")
    assert [request for request in proxy.asked if "list-type" not in request] == [
        "GET /known/b.mp4",
        "HEAD /known/b.mp4",
    ]
    assert again["s3://known/moved.mp4"].captions[0].text == first["s3://known/a.mp4"].captions[0].text
    assert again["s3://known/text.mp4"].failure == failure


def test_nothing_is_lost_and_nothing_comes_twice(s3: S3, proxy: Proxy, run: Run, clips: list[Path]) -> None:
    s3.fill("faults", {f"{n:02}.mp4": varied(clips[n % 3], n) for n in range(12)} | {"zero.mp4": b""})
    proxy.faults[:] = [
        Fault("GET /faults/01", status=503),
        Fault("GET /faults/02", cut=True),
        Fault("GET /faults/03", status=403),
        Fault("GET /faults/04", status=503, times=2),
        Fault("GET /faults/05", before=lambda: s3.client.put_object(Bucket="faults", Key="05.mp4", Body=b"other")),
        Fault("GET /faults/06", before=lambda: s3.client.delete_object(Bucket="faults", Key="06.mp4")),
    ]
    stores = Stores(retries=2)
    found = run("s3://faults/", stores=stores, ahead=2)
    codes = {path[12:14]: o.failure.code if o.failure else "" for path, o in found.items() if "zero" not in path}
    assert codes == dict.fromkeys(codes, "") | {
        "01": "unreachable",
        "02": "unreachable",
        "03": "forbidden",
        "05": "changed",
        "06": "not_found",
    }
    assert found["s3://faults/zero.mp4"].failure.code == "empty"  # type: ignore[union-attr]
    assert len(found) == 13 and stores.repeated == 6
    proxy.faults.clear()
    s3.client.put_object(Bucket="faults", Key="05.mp4", Body=clips[0].read_bytes())
    proxy.asked.clear()
    again = run("s3://faults/")
    assert {path[12:14] for path, outcome in again.items() if outcome.failure} == {"ze"} and len(again) == 12
    got = {request.split()[1][-6:-4] for request in proxy.asked if request.startswith("GET") and "list" not in request}
    assert got == {"01", "02", "03", "05"}  # the failures that say nothing of the content


def test_a_list_of_addresses_is_looked_up_several_at_a_time(
    s3: S3, proxy: Proxy, run: Run, clips: list[Path], tmp_path: Path
) -> None:
    s3.fill("named", {f"{n:02}.mp4": varied(clips[0], n) for n in range(12)})
    names = [f"s3://named/{n:02}.mp4" for n in range(12)]
    names[5] = "s3://named/gone.mp4"
    (tmp_path / "list").write_text("\n".join(names))
    run(f"@{tmp_path / 'list'}")
    proxy.asked.clear()
    at_once = threading.Barrier(4, timeout=20)  # four requests must meet
    proxy.faults.append(Fault("HEAD /named/0[0-3]", before=at_once.wait))
    again = run(f"@{tmp_path / 'list'}")
    assert [path for path, outcome in again.items() if outcome.failure] == ["s3://named/gone.mp4"]
    assert not any(request.startswith("GET /named/0") for request in proxy.asked)


def test_few_files_lie_on_the_disk_at_once(
    s3: S3, proxy: Proxy, run: Run, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.fill("many", {f"{n:02}.mp4": varied(clips[n % 3], n) for n in range(20)})
    most = 0
    real = Stores.fetch

    def fetch(self: Stores, remote: module.Remote, to: Path, *, stopped: threading.Event | None = None) -> None:
        nonlocal most
        most = max(most, 1 + len(list(to.parent.iterdir())))
        real(self, remote, to, stopped=stopped)

    monkeypatch.setattr(Stores, "fetch", fetch)
    assert len(run("s3://many/", ahead=3)) == 20
    assert most <= 3 + 2  # ahead, and being decoded


def test_memory_and_the_web_are_stores_too(run: Run, clips: list[Path], tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/archive/sub/a.mp4", clips[0].read_bytes())
    memory.pipe("/archive/b.mp4", clips[1].read_bytes())
    found = run("memory://archive/")
    assert [path for path, o in found.items() if o.captions] == ["memory://archive/b.mp4", "memory://archive/sub/a.mp4"]
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(clips[0].parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    top = f"http://127.0.0.1:{server.server_port}/"
    (tmp_path / "list").write_text(f"{top}1.mp4\n{top}gone.mp4\nhttp://127.0.0.1:9/a.mp4\n")
    found = run(f"@{tmp_path / 'list'}", stores=Stores(retries=0))
    server.shutdown()
    server.server_close()
    outcomes = list(found.values())
    assert outcomes[0].captions[0].path == f"{top}1.mp4"
    codes = [outcome.failure.code for outcome in outcomes if outcome.failure]
    assert codes == ["not_found", "unreachable"]


def test_no_secret_is_told_and_a_renewed_signature_is_the_same_file(
    s3: S3, proxy: Proxy, checkpoint: Path, clips: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    s3.fill("signed", {"a.mp4": clips[0]})
    proxy.faults.append(Fault("HEAD", status=403))  # a signature is for one method
    out = tmp_path / "out.jsonl"
    options = ["-o", str(out), "-m", str(checkpoint), "--jobs", "1", "--log-json", "--retries", "0"]
    said = ""
    for seconds in (1000, 2000):
        signed = s3.client.generate_presigned_url(
            "get_object", Params={"Bucket": "signed", "Key": "a.mp4"}, ExpiresIn=seconds
        ).replace(s3.address, proxy.address.replace("http://", "http://me:hushhush@"))
        (tmp_path / "list").write_text("\n".join((signed, signed.replace("a.mp4", "gone.mp4"))))
        assert main(["caption", f"@{tmp_path / 'list'}", *options]) == 1
        said += capfd.readouterr().err
    (tmp_path / "list").unlink()
    ends = [json.loads(line) for line in said.splitlines() if '"end"' in line]
    assert [(end["captioned"], end["done"]) for end in ends] == [(1, 0), (0, 1)]
    said += "".join(path.read_text() for path in tmp_path.iterdir())
    assert '"not_found"' in said and f"{proxy.address}/signed/a.mp4" in said
    for secret in ("AKIATEST", SECRET, "hushhush", "Signature", "X-Amz", "Expires"):
        assert secret not in said


def test_rows_go_to_a_store_when_all_are_there(
    s3: S3,
    proxy: Proxy,
    checkpoint: Path,
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    s3.fill("rows", {"in/a.mp4": clips[0], "in/b.mp4": clips[1]})
    command = ["caption", "s3://rows/in/", "-o", "s3://rows/out/rows.jsonl", "-m", str(checkpoint), "--jobs", "1"]
    proxy.faults.append(Fault("PUT /rows/out", status=503))
    assert main([*command, "--retries", "0"]) == 1
    assert "same command again" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl.journal"}
    proxy.faults.clear()
    assert main(command) == main(command) == 0
    assert "2 known already" in capsys.readouterr().err
    text = s3.client.get_object(Bucket="rows", Key="out/rows.jsonl")["Body"].read().decode()
    assert [json.loads(line)["path"] for line in text.splitlines()] == ["s3://rows/in/a.mp4", "s3://rows/in/b.mp4"]
    (tmp_path / "rows.jsonl.journal").unlink()
    assert main(command) == 1 and "no run with this journal wrote it; --overwrite" in capsys.readouterr().err
    assert main([*command[:2], "--sidecar", "-f", "vtt"]) == 2
    assert "'out/{stem}.{format}'" in capsys.readouterr().err
    assert main([*command[:2], "-o", "out/{stem}.txt", *command[4:]]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"a.txt", "b.txt"}


# --- what is left behind -----------------------------------------------------------------------------------------


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    code = (
        f"from captioner.io.scratch import Scratch; import os; s = Scratch({str(tmp_path)!r});"
        "(s.folder / 'a.mp4').touch(); print(s.folder, flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    left = Path(child.stdout.readline().strip())
    with Scratch(tmp_path) as mine:
        assert left.is_dir() and mine.folder.stat().st_mode & 0o777 == 0o700  # it lives
        child.kill()
        child.communicate()
        with Scratch(tmp_path) as next_one:
            assert not left.exists() and mine.folder.is_dir() and next_one.folder.is_dir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_stop_in_the_middle_of_a_fetch_leaves_nothing(
    s3: S3, proxy: Proxy, checkpoint: Path, clips: list[Path], tmp_path: Path
) -> None:
    s3.fill("hanging", {f"{number}.mp4": clips[0] for number in range(3)})
    proxy.faults.append(Fault("GET /hanging/", silent_seconds=90))
    command = ["s3://hanging/", "-o", "out.jsonl", "-m", str(checkpoint), "--jobs", "1", "--scratch", "scratch"]
    child = subprocess.Popen(
        [sys.executable, "-m", "captioner", "caption", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any("GET /hanging/" in request for request in proxy.asked):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.05)
    began = time.monotonic()
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130 and "stopped with 3 of 3 to do" in said
    assert time.monotonic() - began < 25 and list((tmp_path / "scratch").iterdir()) == []
