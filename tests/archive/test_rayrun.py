"""A Ray run gives the rows of a local one, each once, whatever becomes of its nodes and of its driver."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from captioner.archive import ray_actor
from captioner.archive.engine import Settings, Task
from captioner.archive.ray_actor import Job
from captioner.archive.rayrun import caption_with_ray
from captioner.caption.captioner import Captioner
from captioner.cli import main
from captioner.errors import CaptionerError
from captioner.io.inputs import Item
from captioner.io.stores import Remote, Stores
from captioner.outputs.rows import row
from captioner.video.frames import sample_frames
from tests.media import render_clip, render_text
from tests.tiny import tiny_retriever

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="pip install 'captioner[ray]'"),
]
ROOT = Path(__file__).parents[2]
COPIES = 20
PATIENCE_SECONDS = 240.0

GATED = """
import sys, time
from pathlib import Path
from captioner.archive import rayrun
from captioner.cli import main

gate, run = Path(sys.argv.pop(1)), rayrun.caption_with_ray

def gated(tasks, *given, **options):
    def some():
        for number, task in enumerate(tasks):
            while number >= gate.stat().st_size:
                time.sleep(0.02)
            yield task
    return run(some(), *given, **options)

rayrun.caption_with_ray = gated
sys.exit(main(sys.argv[1:]))
"""
"""``captioner`` with as many tasks to do as a file has bytes: so a test has time to do what it does in mid-run."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")  # Ray's workers are nice, and starve
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False},
    )
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    clips = [render_clip(folder / f"{i:02}.mp4", frames=12 + i, gop=4 + i % 7, size=(32, 24)) for i in range(10)]
    return [*clips, render_text(folder / "text.mp4")]


@pytest.fixture(scope="module")
def web(clips: list[Path]) -> Iterator[str]:
    """The folder of the clips on a web server."""
    pytest.importorskip("fsspec", reason="pip install 'captioner[cloud]'")
    handler = partial(SimpleHTTPRequestHandler, directory=str(clips[0].parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def expected(clips: list[Path], checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The rows of a local run, by the clip's name."""
    out = tmp_path_factory.mktemp("local") / "rows.jsonl"
    given = ["caption", *map(str, clips), "-o", str(out), "-m", str(checkpoint), "--jobs", "1", "--words", "-q"]
    assert main(given) == 1
    return {Path(json.loads(line)["path"]).name: line for line in out.read_text().splitlines()}


def actors(node: Any) -> int:
    """How many of our actors work on a node."""
    found = 0
    for started in node.all_processes["raylet"]:
        for child in psutil.Process(started.process.pid).children():
            try:
                found += child.cmdline()[:1] in (["ray::Actor"], ["ray::Actor.caption"])
            except psutil.Error:
                continue
    return found


def until(true: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
    began = time.monotonic()
    for turn in count():
        if true():
            return
        assert time.monotonic() - began < PATIENCE_SECONDS
        if turn % 10 == 0:
            meanwhile()
        time.sleep(0.1)


def test_nodes_come_and_go_and_the_driver_is_killed(
    cluster: Any, clips: list[Path], expected: dict[str, str], checkpoint: Path, tmp_path: Path
) -> None:
    names = []
    for number in range(COPIES * len(clips)):
        clip = clips[number % len(clips)]
        names.append(tmp_path / f"{number:03}-{clip.name}")
        shutil.copyfile(clip, names[-1])
        os.utime(names[-1], (number, number))  # another time of change: another file to the journal
    (tmp_path / "list").write_text("\n".join(map(str, names)))
    gate, out = tmp_path / "gate", tmp_path / "rows.jsonl"
    journal = tmp_path / "rows.jsonl.journal"
    gate.touch()
    given = [str(gate), "caption", f"@{tmp_path / 'list'}", "-o", str(out), "-m", str(checkpoint), "--words", "-q"]
    command = [sys.executable, "-c", GATED, *given, "--engine", "ray", "--batch-size", "2"]

    def start() -> subprocess.Popen[bytes]:
        environment = {**os.environ, "RAY_ADDRESS": cluster.address, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    def more() -> None:
        with gate.open("ab") as opened:
            opened.write(b"." * 6)

    def recorded() -> list[str]:
        found = re.findall(r'^\{"key":"(\w+)"', journal.read_text() if journal.exists() else "", re.MULTILINE)
        return found

    early = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    driver = start()
    try:
        until(lambda: actors(early) == 1 == actors(cluster.head_node) and len(recorded()) > 5, more)
        late = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        until(lambda: actors(late) == 1, more)
        cluster.remove_node(early, allow_graceful=False)
        known = len(recorded())
        until(lambda: len(recorded()) > known + 10, more)
    finally:
        driver.kill()
        driver.wait()
    assert len(recorded()) < len(names), "the run ended before its driver was killed"
    until(lambda: actors(late) == 0 == actors(cluster.head_node))
    gate.write_bytes(b"." * len(names))
    assert start().wait(PATIENCE_SECONDS) == 1
    rows = out.read_text().splitlines()
    assert rows == [
        expected[name.name[4:]].replace(str(clips[0].parent / name.name[4:]), str(name))
        for name in names
        if "text" not in name.name
    ]
    keys = recorded()
    assert len(keys) == len(set(keys)) == len(names)
    failures = [json.loads(line) for line in Path(f"{out}.failures.jsonl").read_text().splitlines()]
    assert [f["path"] for f in failures] == [str(n) for n in names if "text" in n.name]
    assert {f["code"] for f in failures} == {"no_video"}


def load_elsewhere(folder: Path, *, fatal: int) -> Captioner:
    """A captioner on a node that shares no files with the driver; a clip whose pixels have that sum kills it."""
    ray_actor.is_here = lambda path, version: False
    captioner = Captioner.load(folder)
    encode = captioner.encode

    def fragile(frames: Any) -> Any:
        if frames.pixels.sum() == fatal:
            os._exit(1)
        return encode(frames)

    captioner.encode = fragile  # type: ignore[method-assign]
    return captioner


def test_model_and_files_come_to_a_node_that_lacks_them(
    cluster: Any,
    clips: list[Path],
    web: str,
    expected: dict[str, str],
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Addresses are fetched by the node itself. And a file that kills its actors costs nothing but itself."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers cannot import tests
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    local = Captioner.load(checkpoint)
    fatal = int(sample_frames(clips[3], local.video).pixels.sum())
    job = Job(
        load=partial(load_elsewhere, fatal=fatal),
        settings=Settings(video=local.video, search=local.search),
        batch_size=3,
        timeout_seconds=60.0,
        retries=0,
        scratch=None,
        ahead=2,
    )
    tasks = [Task(index=i, item=Item(path=str(path))) for i, path in enumerate(clips)]
    address = f"{web}/{clips[0].name}"
    remote = Stores().look(Remote(address=address))
    tasks.append(Task(index=len(tasks), item=Item(path=address, remote=remote)))
    found = {
        outcome.task.index: outcome
        for outcome in caption_with_ray(iter(tasks), job, folders={"folder": checkpoint}, actors=1)
    }
    assert sorted(found) == list(range(len(tasks)))
    failures = {index: outcome.failure.code for index, outcome in found.items() if outcome.failure}
    assert failures == {3: "damaged", 10: "no_video"}
    for index in set(found) - set(failures):
        assert found[index].task == tasks[index]
        [caption] = found[index].captions
        name = tasks[index].item.path
        said = json.loads(expected[name.rpartition("/")[2]]) | {"path": name}
        assert json.loads(json.dumps(row(caption))).items() <= said.items()


@pytest.fixture
def job(checkpoint: Path) -> Job:
    local = Captioner.load(checkpoint)
    return Job(
        load=Captioner.load,
        settings=Settings(video=local.video, search=local.search),
        batch_size=1,
        timeout_seconds=None,
        retries=0,
        scratch=None,
        ahead=1,
    )


def test_nothing_to_do_needs_no_actor(
    cluster: Any, checkpoint: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    assert list(caption_with_ray(iter(()), job, folders={"folder": checkpoint})) == []
    assert actors(cluster.head_node) == 0


def test_an_address_where_nothing_listens_is_told_at_once(
    checkpoint: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    ray.shutdown()  # whatever another test was connected to
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(CaptionerError, match=f"reached on {address}"):
        list(caption_with_ray(iter(()), job, folders={"folder": checkpoint}))
    assert time.monotonic() - began < 10


def test_an_index_is_that_of_a_local_run(
    cluster: Any, clips: list[Path], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captions, words, vectors and thumbnails."""
    retriever = tiny_retriever(tmp_path, captioner=checkpoint)
    found = []
    for engine in ("local", "ray"):
        out = tmp_path / f"{engine}.db"
        given = ["index", *map(str, clips[:3]), "-o", str(out), "-m", str(checkpoint), "--retriever", str(retriever)]
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        assert main([*given, "--engine", engine, "--jobs", "1", "-q"]) == 0
        with sqlite3.connect(out) as index:
            tables = {
                table: index.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
                for table, columns in (
                    ("moments", "id, start, stop, caption, confidence, unsure, others, seen, marks"),
                    ("vectors", "block, numbers"),
                    ("thumbnails", "moment, webp"),
                    ("files", "path, start, content"),
                )
            }
        found.append(tables)
    assert all(len(rows) for rows in found[0].values()) and len(found[0]["moments"]) == 3
    assert found[0] == found[1]
