"""Objects that come into stores: each version of each once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from captioner.io import store_arrivals
from captioner.io.arrivals import Together, Wanted
from captioner.io.inputs import Item
from captioner.io.store_arrivals import StoreArrivals
from captioner.io.stores import Stores


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(store_arrivals, "_LIST_SECONDS", 0.05)
    store = fsspec.filesystem("memory")
    store.pipe("/come/a.mp4", b"a")
    store.pipe("/come/note.txt", b"no video")
    yield store
    store.rm("/come", recursive=True)


def take(arrivals: Together, count: int, *, seconds: float = 10.0) -> list[str]:
    """So many, or what comes in this time."""
    taken: list[str] = []
    end = time.monotonic() + seconds
    while len(taken) < count and time.monotonic() < end:
        if item := next(arrivals):
            assert item.remote is not None
            taken.append(item.path)
        time.sleep(0.005)
    return taken


def test_each_version_comes_once(store: Any) -> None:
    said: list[str] = []
    wanted = Wanted(recursive=True, takes=lambda item: "left" not in item.path, say=said.append)
    with StoreArrivals(["memory://come/", "memory://empty/"], Stores(retries=0), wanted) as source:
        arrivals = Together([source])
        assert take(arrivals, 1) == ["memory://come/a.mp4"]
        store.pipe("/come/below/b.mp4", b"b")
        store.pipe("/come/left.mp4", b"left")
        assert take(arrivals, 1) == ["memory://come/below/b.mp4"]
        store.pipe("/come/a.mp4", b"another")
        assert take(arrivals, 1) == ["memory://come/a.mp4"]
        store.rm("/come/below/b.mp4")
        assert take(arrivals, 1, seconds=0.3) == []
        source.again(Item(path="memory://come/a.mp4"))  # it could not be fetched
        assert take(arrivals, 1) == ["memory://come/a.mp4"] and arrivals.waiting == 0
    assert not said


def test_a_store_that_fails_is_said_once_and_loses_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with StoreArrivals(["memory://come/"], Stores(retries=0), Wanted(say=said.append)) as source:
        arrivals = Together([source])
        assert take(arrivals, 1) == ["memory://come/a.mp4"]
        with monkeypatch.context() as broken:
            broken.setattr(type(store), "ls", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("cut off")))
            assert take(arrivals, 1, seconds=0.3) == [] and len(said) == 1 and "cannot be listed" in said[0]
            store.pipe("/come/b.mp4", b"b")
        assert take(arrivals, 2, seconds=1.0) == ["memory://come/b.mp4"]
