"""``captioner find``: searches an index, or a folder that is indexed already, by what clips show."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.errors import CaptionerError, UsageError, counted
from captioner.io.files import StandardOutput

if TYPE_CHECKING:
    from captioner.index.archive import Archive, Found, Results

FORMATS = ("txt", "json", "jsonl", "csv", "m3u", "vtt")

ABOUT = """\
Find clips and shots in an index by what they show; captioner index makes one.

QUERY is a sentence or words. "exact words" in quotes must stand in a caption, -word leaves out clips with that word,
path:holiday/* keeps files of such a path, after:2024-05 those changed since then. A broader noun finds narrower ones:
bird finds a cockatoo."""

_PLAYERS = {"mpv": "--start={seconds:.3f}", "vlc": "--start-time={seconds:.3f}"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="the file that captioner index made")
    parser.add_argument("query", nargs="*", metavar="QUERY", help="sentence or words to find")
    parser.add_argument("-n", "--count", type=int, default=10, metavar="N", help="results (default: 10)")
    parser.add_argument(
        "--min-score", type=float, default=-1.0, metavar="S", help="leave out results below this score (default: none)"
    )
    parser.add_argument("-f", "--format", choices=FORMATS, default="txt", help="default: txt")
    parser.add_argument("--like", metavar="FILE", help="find what looks like a photo, a clip or @ROW of the index")
    parser.add_argument(
        "--rerank", action="store_true", help="rerank the best hundred by the captioner's decoder (index --features)"
    )
    parser.add_argument("--open", action="store_true", help="show thumbnails in the browser, without a server")
    parser.add_argument("--play", action="store_true", help="play the best result in the system's player")
    parser.add_argument("--retriever", metavar="DIR", help="retriever's folder (default: the one in the package)")
    parser.add_argument("-m", "--model", metavar="DIR", help="with --like FILE or --rerank: the captioner that made it")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def run(options: argparse.Namespace) -> int:
    from captioner.index.archive import Archive
    from captioner.index.writers import WRITERS

    query = " ".join(options.query)
    if bool(query.strip()) == bool(options.like):
        raise UsageError("give either a QUERY or --like")
    if options.count < 1:
        raise UsageError(f"-n is {options.count}; it must be at least 1")
    if options.rerank and options.like:
        raise UsageError("--rerank is for a QUERY; leave it out with --like")
    with Archive.open(options.index, retriever=options.retriever) as archive:
        results = _like(archive, options) if options.like else _find(archive, query, options)
        _say(archive, query, results, quiet=options.quiet)
        if results:
            with StandardOutput() as out:
                for text in WRITERS[options.format](results.found):
                    out.write(text)
        if options.open and results:
            _open(archive, query or f"like {options.like}", results)
    if options.play and results:
        _play(results.found[0])
    return 0


def _find(archive: Archive, query: str, options: argparse.Namespace) -> Results:
    if not options.rerank:
        return archive.find(query, **_limits(options))
    from captioner.commands.models import loading
    from captioner.index.archive import RERANKED
    from captioner.index.schema import GET_FEATURES, without_features

    with loading():
        from captioner.index.likelihood import Likelihood

        likelihood = Likelihood.load(options.model)
    found = archive.find(query, count=max(RERANKED, options.count), least_score=options.min_score)
    reranked = archive.rerank(found, query, likelihood)
    lacking = without_features(archive.connection, [each.row for each in found])
    if lacking and not options.quiet:
        last = f"{counted(lacking, 'result')} without features counted as the least likely"
        print(f"captioner: {last}; {GET_FEATURES}", file=sys.stderr)
    return reranked.first(options.count)


def _limits(options: argparse.Namespace) -> dict[str, Any]:
    return {"count": options.count, "least_score": options.min_score}


def _like(archive: Archive, options: argparse.Namespace) -> Results:
    if options.like.startswith("@"):
        row = options.like[1:]
        if not row.isdecimal():
            raise UsageError(
                f"--like {options.like} is not a row; give @ and its number, or ./{options.like} for a file"
            )
        return archive.like(archive.vector(int(row)), without=int(row), **_limits(options))
    from captioner.index.indexer import Indexer
    from captioner.video.frames import sample_frames

    indexer = Indexer.load(options.model, retriever=options.retriever, thumbnails=False)
    return archive.like(indexer.vector(sample_frames(options.like, indexer.video)), **_limits(options))


def _say(archive: Archive, query: str, results: Results, *, quiet: bool) -> None:
    """What is to be said on stderr: words that are not known, and that nothing was found."""
    if quiet:
        return
    if results.unknown:
        print(
            f"captioner: the retriever does not know {', '.join(results.unknown)}; only captions were searched for it",
            file=sys.stderr,
        )
    if not results:
        nothing = f"nothing was found among {counted(len(archive), 'clip')}"
        empty = f"{archive.path} is empty; captioner index adds clips to it"
        print(f"captioner: {nothing if len(archive) else empty}", file=sys.stderr)


def _open(archive: Archive, title: str, results: Results) -> None:
    from captioner.index.writers import page

    path = Path(tempfile.mkdtemp(prefix="captioner-")) / "found.html"
    path.write_text(page(title, [(each, archive.thumbnail(each.row)) for each in results]), encoding="utf-8")
    opened = webbrowser.open(path.as_uri())
    print(f"the page is {path}" + ("" if opened else "; no browser could be opened here"), file=sys.stderr)


def _play(best: Found) -> None:
    """Hand the best to a player: mpv or VLC at its moment, else what the system opens such files with."""
    for player, start in _PLAYERS.items():
        if found := shutil.which(player):
            subprocess.Popen([found, start.format(seconds=best.seconds), best.path])
            return
    if sys.platform == "win32":
        os.startfile(best.path)
        return
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        raise CaptionerError(f"no player was found for {best.path}; install mpv or VLC, or give -f m3u to one")
    subprocess.Popen([opener, best.path])
