"""A small share of the nightly run of ``python -m tests.fuzz``, and that the run would notice what must not be."""

from __future__ import annotations

import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz import mutants, run
from tests.watch import Watch, listening

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs inotify and memory limits: run on Linux")


def test_mutants_give_frames_or_a_coded_error(tmp_path: Path) -> None:
    outcomes, findings = run(tmp_path, count=150, seed=1)
    assert findings == []
    assert sum(outcomes.values()) == 150
    assert {"frames", "damaged", "no_video"} <= set(outcomes)


def test_the_watch_sees_what_is_opened_and_who_connects(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    watch = Watch(tmp_path)
    assert watch.opened() == set()
    (tmp_path / "secret").read_bytes()
    assert watch.opened() == {"secret"}
    watch.close()
    with listening() as (port, visitors):
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        assert len(visitors) == 1


def test_mutants_are_the_same_for_the_same_seed() -> None:
    originals = {"a.mp4": bytes(range(256)) * 9, "empty.mp4": b"", "b.mkv": b"x" * 700}
    first, again, other = (list(mutants(originals, count=200, seed=seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert len({mutant.data for mutant in first}) > 100
