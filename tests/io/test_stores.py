"""Objects in stores: listed, looked up, fetched and put, through what networks and servers do to that."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from captioner.errors import CaptionerError, UsageError, VideoError
from captioner.io import stores as module
from captioner.io.inputs import Item, find_inputs
from captioner.io.stores import Remote, Stores
from captioner.io.upload import is_stored, stored
from tests.faulty_proxy import Fault, Proxy, faulty_proxy
from tests.s3_server import S3, environment

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the program and the S3 server."""
    with faulty_proxy(s3.address) as proxy:
        for name, value in environment(proxy.address).items():
            monkeypatch.setenv(name, value)
        yield proxy


def bucket(s3: S3, name: str, **files: bytes) -> str:
    s3.fill(name, {key.replace("__", "/") + ".mp4": content for key, content in files.items()})
    return f"s3://{name}/"


def found(stores: Stores, address: str, *, recursive: bool = True) -> list[Item]:
    return list(find_inputs([address], recursive=recursive, stores=stores).items)


def fetch(stores: Stores, address: str, to: Path) -> bytes:
    stores.fetch(stores.look(Remote(address=address)), to)
    return to.read_bytes()


def refused(stores: Stores, address: str, to: Path) -> VideoError:
    with pytest.raises(VideoError) as caught:
        fetch(stores, address, to)
    return caught.value


# --- what is found -----------------------------------------------------------------------------------------------


def test_a_prefix_lists_what_the_folder_would(s3: S3, proxy: Proxy) -> None:
    names = ["b", "a", "sub__c", "sub__deep__d", "sub__.hidden", ".dark__e", "z__f"]
    top = bucket(s3, "listed", **dict.fromkeys(names, b"x"))
    s3.client.put_object(Bucket="listed", Key="notes.txt", Body=b"x")
    s3.client.put_object(Bucket="listed", Key="sub/", Body=b"")  # what consoles make of a folder
    inputs = find_inputs([top], recursive=True, stores=Stores())
    assert [item.path.removeprefix(top) for item in inputs.items] == [
        *("a.mp4", "b.mp4", "sub/c.mp4", "sub/deep/d.mp4", "z/f.mp4")
    ]
    assert (inputs.hidden, inputs.others, inputs.is_one_file) == (2, 1, False)
    assert [item.path for item in found(Stores(), "s3://listed", recursive=False)] == [f"{top}a.mp4", f"{top}b.mp4"]
    assert [item.path for item in found(Stores(), f"{top}s*/*.mp4")] == [f"{top}sub/.hidden.mp4", f"{top}sub/c.mp4"]
    assert len({item.remote.version for item in inputs.items if item.remote}) == 1  # the same content, by its ETag


def test_a_listing_goes_on_page_by_page(s3: S3, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    top = bucket(s3, "pages", **{f"{number:03}": b"x" for number in range(25)})
    monkeypatch.setattr(module, "_PAGE", 10)
    proxy.faults.append(Fault("GET .*continuation-token", status=503, times=2))
    stores = Stores()
    assert len(found(stores, top)) == 25 and stores.repeated == 2
    proxy.faults.append(Fault("GET .*continuation-token", status=503))
    inputs = find_inputs([top], recursive=True, stores=Stores(retries=1))
    [folder] = inputs.unreadable
    assert len(inputs.items) == 10 and folder.code == "unreachable" and "503" in folder.reason


def test_a_bucket_that_is_missing_or_closed_is_named(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    [folder] = find_inputs(["s3://no-such/x/"], recursive=True, stores=Stores()).unreadable
    assert (folder.path, folder.code) == ("s3://no-such/x/", "not_found") and "bucket does not exist" in folder.reason
    top = bucket(s3, "closed", a=CONTENT)
    assert refused(Stores(), f"{top}gone.mp4", tmp_path / "x").code == "not_found"
    proxy.faults.append(Fault("/closed", status=403))
    [folder] = find_inputs([top], recursive=True, stores=Stores()).unreadable
    assert folder.code == "forbidden"
    [pattern] = find_inputs([f"{top}*.mp4"], stores=Stores()).unreadable
    assert (pattern.path, pattern.code) == (f"{top}*.mp4", "forbidden")
    stores = Stores()
    assert refused(stores, f"{top}a.mp4", tmp_path / "x").code == "forbidden" and stores.repeated == 0


def test_names_are_the_keys_to_the_letter(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    names = ["a b+c%20.mp4", "deep/x?y#z.mp4", "é & ü.mp4", "-[1].mp4"]
    s3.fill("letters", {f"in/{name}": name.encode() for name in names})
    stores = Stores()
    inputs = find_inputs(["s3://letters/in"], recursive=True, stores=stores)
    assert sorted(item.path.removeprefix("s3://letters/in/") for item in inputs.items) == sorted(names)
    for item in inputs.items:
        assert item.remote
        stores.fetch(item.remote, tmp_path / "x")
        assert f"s3://letters/in/{(tmp_path / 'x').read_text()}" == item.path
    with pytest.raises(CaptionerError, match="add -r to search subfolders"):
        find_inputs(["s3://letters/"], stores=Stores())


# --- what is fetched ---------------------------------------------------------------------------------------------


def test_what_passes_is_tried_again(s3: S3, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.5)
    top = bucket(s3, "passing", a=CONTENT)
    stores = Stores(retries=9)  # a busy machine may be silent for so long by itself
    proxy.faults[:] = [
        Fault("GET /passing/a", status=503, times=1),
        Fault("GET /passing/a", cut=True, times=1),
        Fault("GET /passing/a", silent_seconds=2.0, times=1),
    ]
    assert fetch(stores, f"{top}a.mp4", tmp_path / "x") == CONTENT
    assert stores.repeated >= 3


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut": True}, {"status": 500}])
def test_what_does_not_pass_is_unreachable(s3: S3, proxy: Proxy, tmp_path: Path, fault: dict[str, int]) -> None:
    top = bucket(s3, f"lasting-{'-'.join(map(str, fault.values())).lower()}", a=CONTENT)
    proxy.faults.append(Fault("GET .*a.mp4", **fault))  # type: ignore[arg-type]
    stores = Stores(retries=2)
    error = refused(stores, f"{top}a.mp4", tmp_path / "x")
    assert error.code == "unreachable" and str(error).endswith("also after 2 retries") and stores.repeated == 2
    assert sum(request.startswith("GET") for request in proxy.asked) == 3


def test_an_object_that_changes_while_it_is_read_is_no_content(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    top = bucket(s3, "changing", a=CONTENT)

    def change() -> None:
        s3.client.put_object(Bucket="changing", Key="a.mp4", Body=CONTENT[::-1])

    proxy.faults.append(Fault("GET /changing/a", before=change, times=1))
    error = refused(Stores(), f"{top}a.mp4", tmp_path / "x")
    assert error.code == "changed"
    assert fetch(Stores(), f"{top}a.mp4", tmp_path / "x") == CONTENT[::-1]


def test_a_fetch_that_is_stopped_neither_goes_on_nor_tries_again(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    top = bucket(s3, "stopped", a=CONTENT)
    stores, stopped = Stores(), threading.Event()
    remote = stores.look(Remote(address=f"{top}a.mp4"))
    proxy.faults.append(Fault("GET /stopped/a", status=503, before=stopped.set))
    stopped.set()
    with pytest.raises(CaptionerError):
        stores.fetch(remote, tmp_path / "x", stopped=stopped)
    assert sum(request.startswith("GET") for request in proxy.asked) <= 1


@pytest.mark.skipif(os.name == "nt", reason="limits")
def test_a_disk_that_is_full_ends_the_run_and_blames_no_object(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    top = bucket(s3, "larger", a=CONTENT)
    code = (
        "import resource, sys; from pathlib import Path; from captioner.io.stores import Remote, Stores\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)); stores = Stores()\n"
        f"remote = stores.look(Remote(address='{top}a.mp4'))\n"
        "try: stores.fetch(remote, Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    assert said.startswith("CaptionerError the disk of --scratch is full") and f"{top}a.mp4" in said


# --- what is put -------------------------------------------------------------------------------------------------


def test_an_output_is_there_whole_or_not_at_all(
    s3: S3, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize: 5 * 2**20)
    bucket(s3, "outputs", old=b"x")
    address = "s3://outputs/rows.jsonl"
    rows = "row\n" * 3_200_000  # three parts of an upload
    assert not is_stored(address, Stores())
    with pytest.raises(KeyboardInterrupt), stored(address, Stores(), scratch=str(tmp_path)) as out:
        out.write_text(rows)
        raise KeyboardInterrupt
    proxy.faults.append(Fault("PUT /outputs/rows.*partNumber=2", status=503))
    with (
        pytest.raises(CaptionerError, match=r"written.*503.*same command again"),
        stored(address, Stores(retries=1), scratch=str(tmp_path)) as out,
    ):
        out.write_text(rows)
    assert s3.client.list_multipart_uploads(Bucket="outputs").get("Uploads", []) == []
    assert Stores().look_at(address) is None
    proxy.faults[:] = [Fault("PUT /outputs/rows.*partNumber=2", status=503, times=1)]
    with stored(address, Stores(), scratch=str(tmp_path)) as out:
        out.write_text(rows)
    assert s3.client.get_object(Bucket="outputs", Key="rows.jsonl")["Body"].read().decode() == rows
    assert list(tmp_path.iterdir()) == []
    assert is_stored(address, Stores())
    proxy.faults.append(Fault("HEAD /outputs", status=403))
    assert is_stored("s3://outputs/unseen.jsonl", Stores())  # perhaps


def test_an_output_that_cannot_be_is_refused_before_the_work(proxy: Proxy) -> None:
    with pytest.raises(CaptionerError, match="bucket does not exist"):
        is_stored("s3://no-such/rows.jsonl", Stores())
    with pytest.raises(UsageError, match="cannot be written; name a local file"):
        is_stored("https://host/rows.jsonl?sig=secret", Stores())
    with pytest.raises(UsageError, match="is a folder"):
        is_stored("s3://outputs/", Stores())


def test_a_store_that_lacks_a_package_names_it() -> None:
    with pytest.raises(CaptionerError, match="pip install gcsfs"):
        find_inputs(["gs://bucket/a.mp4"], stores=Stores())
    assert [item.remote for item in find_inputs(["rtsp://host/a.mp4"], stores=Stores()).items] == [None]
    assert [item.remote for item in find_inputs(["s3://bucket/a.mp4"]).items] == [None]  # nobody fetches it


def test_no_credentials_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: Proxy) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(CaptionerError, match="needs credentials: set AWS_PROFILE") as caught:
        found(Stores(), "s3://bucket/x/")
    assert not isinstance(caught.value, VideoError)
