"""The versions that the objects of a list have in their stores: several are asked for at once, for each takes a while.

Objects that a listing named have theirs already, and files of this machine need none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from captioner.errors import VideoError
from captioner.io.inputs import Item
from captioner.io.stores import Stores

_AT_ONCE = 8


def looked_up(items: Iterable[Item | None], stores: Stores) -> Iterator[tuple[Item | None, VideoError | None]]:
    """Each item in its order, with its version; or with the reason why it has none. None stays None."""
    coming: deque[tuple[Item, Future[Item | VideoError] | None]] = deque()
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="look-up")
    try:
        for item in items:
            if item is None:
                while coming:
                    yield _come(*coming.popleft())
                yield None, None
                continue
            asked = None
            if item.remote is not None and not item.remote.version:
                asked = pool.submit(_look, item, stores)
            coming.append((item, asked))
            while coming and (len(coming) > _AT_ONCE or coming[0][1] is None):
                yield _come(*coming.popleft())
        while coming:
            yield _come(*coming.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _look(item: Item, stores: Stores) -> Item | VideoError:
    assert item.remote is not None
    try:
        return replace(item, remote=stores.look(item.remote))
    except VideoError as error:
        return error


def _come(item: Item, asked: Future[Item | VideoError] | None) -> tuple[Item, VideoError | None]:
    found = item if asked is None else asked.result()
    if isinstance(found, VideoError):
        return item, found
    if found.remote is not None and found.remote.size == 0:
        return item, VideoError("empty", f"{item.path} is empty (0 bytes)")
    return found, None
