"""How long does a second run take to open the journal of a first one, and how much memory does it need?

    python benchmarks/journal.py --rows 1000000

Wanted for a million rows: under 10 s and 500 MB. Only the processor time counts on a busy machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from captioner.archive.journal import Journal

CAPTION = "a man in a blue shirt is playing a guitar on the stage"
OPEN = """
import resource, sys, time
from captioner.archive.journal import Journal
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wall, used = time.perf_counter(), time.process_time()
with Journal(sys.argv[1]) as journal:
    wall, used = time.perf_counter() - wall, time.process_time() - used
    assert journal.find(sys.argv[2], "") is not None
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"opened in {wall:.1f} s, {used:.1f} s of processor; {after / 1024:.0f} MB, {(after - before) / 1024:.0f} new")
"""


def write(path: Path, rows: int) -> str:
    """A journal as a run writes it, with a caption, its nouns and its alternatives in each row; the last key."""
    word = {"noun": "acoustic guitar", "probability": 0.8137, "peak_seconds": 3.25}
    other = {"caption": CAPTION, "score": -4.1234, "log_prob": -9.8765}
    row = {"path": "", "caption": CAPTION, "confidence": 0.5312, "score": -4.01, "log_prob": -9.1, "start_seconds": 0.0}
    row |= {"end_seconds": 10.5, "abstained": False, "evidence": [word] * 3, "alternatives": [other] * 2}
    body = json.dumps([row | {"warnings": [], "model": "0123456789ab"}], separators=(",", ":"))
    Journal(path).close()
    with path.open("a", encoding="ascii") as out:
        for number in range(rows):
            key = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
            out.write(f'{{"key":"{key}","path":"/archive/2026/{number:07}.mp4","captions":{body}}}\n')
    return key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl.journal"
        key = write(path, options.rows)
        print(f"{options.rows} rows, {path.stat().st_size / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}", flush=True)
        subprocess.run([sys.executable, "-c", OPEN, str(path), key], check=True)


if __name__ == "__main__":
    main()
