"""``captioner anomalies``: learns normal footage, and finds what is abnormal in other footage."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.commands.examples import with_examples
from captioner.commands.options import formats
from captioner.commands.settings import add_settings, override
from captioner.errors import CaptionerError, ConfigError, UsageError, VideoError, counted

if TYPE_CHECKING:
    from captioner.anomalies.learning import Learnt
    from captioner.anomalies.scoring import Moment
    from captioner.anomalies.watcher import Watcher
    from captioner.io.progress import Monitor

ABOUT = """\
Detect anomalies: learn normal footage, then score new footage.

    captioner anomalies learn monday.mp4 tuesday.mp4 -o cam1/
    captioner anomalies score wednesday.mp4 -m cam1/

Learning needs normal footage only, without labels: at least a minute. An hour or more makes the threshold reliable."""

LEARN = """\
Learn from normal footage.

PATH is a video file, a folder, a pattern or @LIST."""

SCORE = """\
Score footage: which moments are abnormal, and where in the frame.

PATH is a video file, a folder, a pattern or @LIST. With - it is a stream on stdin, such as MPEG-TS. Each event is
printed as soon as it ends."""

FORMATS = ("csv", "jsonl", "events", "svg", "vtt")


def add(parser: argparse.ArgumentParser) -> None:
    parts: Any = parser.add_subparsers(metavar="PART", dest="part", required=True)
    shape: dict[str, Any] = {"epilog": parser.epilog, "formatter_class": parser.formatter_class}
    learn = parts.add_parser(
        "learn", help="learn from normal footage", description=with_examples("learn", LEARN), **shape
    )
    learn.add_argument("paths", nargs="+", metavar="PATH", help="normal footage")
    learn.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the checkpoint")
    learn.add_argument("-r", "--recursive", action="store_true", help="search subfolders too")
    learn.add_argument("--overwrite", action="store_true", help="replace an existing checkpoint")
    add_settings(learn, FootageConfig, only=("see", "rate"))
    add_settings(learn, DetectorConfig, only=("method", "steps", "seed"))
    score = parts.add_parser("score", help="score new footage", description=with_examples("score", SCORE), **shape)
    score.add_argument("paths", nargs="+", metavar="PATH", help="footage, or - for a stream")
    score.add_argument("-m", "--model", required=True, metavar="DIR", help="checkpoint that learn wrote")
    score.add_argument("-r", "--recursive", action="store_true", help="search subfolders too")
    score.add_argument("-o", "--output", metavar="DIR", help="folder for the scores and events of each file")
    score.add_argument(
        "-f",
        "--format",
        type=partial(formats, known=FORMATS),
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}, or several with commas (default with -o: all)",
    )
    score.add_argument("--overwrite", action="store_true", help="score again and replace existing files")
    score.add_argument(
        "--alarms-per-hour", type=float, default=1.0, metavar="N", help="false alarms an hour to accept (default: 1)"
    )
    score.add_argument(
        "--follow", type=float, metavar="SECONDS", help="follow a growing file until nothing is added for this long"
    )
    for command in (learn, score):
        command.add_argument(
            "--timeout", type=float, default=60.0, metavar="SECONDS", help="limit without progress (default: 60)"
        )
        command.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    parser.commands = dict(parts.choices)  # type: ignore[attr-defined]


def run(options: argparse.Namespace) -> int:
    return {"learn": learn, "score": score}[options.part](options)


def learn(options: argparse.Namespace) -> int:
    """Exit 1 if a file could not be read."""
    from captioner.anomalies.checkpoint import save_detector
    from captioner.checkpoint.files import check_output
    from captioner.io.progress import Monitor
    from captioner.io.signals import Stop
    from captioner.io.status import Status, announce

    folder = Path(options.output)
    check_output(folder, overwrite=options.overwrite)
    try:
        footage = override(FootageConfig(), options)
        config = override(DetectorConfig(method="nearest" if footage.see == "cnn" else "gru"), options)
    except ConfigError as error:
        raise UsageError(str(error)) from None
    paths = _files(options, "learn from")
    if "-" in paths:
        raise UsageError("normal footage is read from files; a stream (-) can only be scored")
    if missing := next((path for path in paths if not Path(path).exists()), None):
        raise CaptionerError(f"there is no file {missing}; nothing was learned")
    announce(f"learning from {counted(len(paths), 'file')}", quiet=options.quiet)
    monitor, status = Monitor(quiet=options.quiet), Status(quiet=options.quiet)
    from captioner.anomalies.learning import learn as learn_from

    with Stop() as stop:
        learnt = learn_from(
            paths,
            footage,
            config,
            timeout_seconds=options.timeout,
            tell=lambda text, share: status.show(text, share=share),
            stop=stop,
        )
    status.clear()
    for path, code, reason in learnt.failures:
        monitor.failure(path, code, reason)
    source: dict[str, Any] = {"files": len(paths) - len(learnt.failures), "seconds": round(learnt.seconds, 1)}
    if learnt.stopped:
        source["stopped"] = learnt.stopped
    save_detector(folder, detector=learnt.detector, tail=learnt.tail, learnt_from=source)
    _say_learnt(learnt, folder, len(paths), monitor)
    print(folder)
    return 130 if learnt.stopped else 1 if learnt.failures else 0


def _say_learnt(learnt: Learnt, folder: Path, files: int, monitor: Monitor) -> None:
    """What a person should know of what was learnt."""
    if learnt.failures:
        monitor.say(f"{folder} was learned from the other {files - len(learnt.failures)} of {files} files")
    if learnt.tail.seconds < 600:
        monitor.say(
            f"the threshold comes from {learnt.tail.seconds:.0f} seconds of footage; the rate of false alarms is "
            "reliable from half an hour of normal footage on"
        )
    if learnt.stopped:
        monitor.say(f"stopped in {learnt.stopped}; what was learned so far is kept; --overwrite learns again")


def score(options: argparse.Namespace) -> int:
    """Exit 1 if a file could not be read."""
    from captioner.anomalies.watcher import Watcher
    from captioner.io.files import refuse_to_overwrite
    from captioner.io.progress import Monitor
    from captioner.outputs.scores import score_paths
    from captioner.safe.whole import refuse_to_replace

    if options.format and not options.output:
        raise UsageError("--format names files; give the folder for them with -o")
    if options.follow is not None and not 0 < options.follow < float("inf"):
        raise UsageError(f"--follow is {options.follow}; it must be above 0 seconds")
    monitor = Monitor(quiet=options.quiet)
    stems = _stems(_files(options, "score"))
    if options.output:
        for path, stem in stems:  # before any is scored
            places = score_paths(Path(options.output), stem, options.format or FORMATS).values()
            refuse_to_overwrite([path], places)
            refuse_to_replace(places, overwrite=options.overwrite)
    watcher = Watcher.load(options.model, alarms_per_hour=options.alarms_per_hour)
    failed = 0
    for path, stem in stems:
        try:
            _score_one(watcher, path, stem, options, monitor)
        except VideoError as error:
            failed += 1
            monitor.failure(path, error.code, str(error))
    return 1 if failed else 0


def _score_one(watcher: Watcher, path: str, stem: str, options: argparse.Namespace, monitor: Monitor) -> None:
    """Score one file to its end, or as far as it can be read; what was found is told and written either way."""
    from captioner.outputs.scores import ScoreFiles, told
    from captioner.outputs.subtitles import clock
    from captioner.safe.text import visible

    moments = watcher.moments(path, timeout_seconds=options.timeout, idle_seconds=options.follow)
    first = next(moments, None)  # before any file is made
    if first is None:
        return
    files = None
    if options.output:
        formats = options.format or FORMATS
        files = ScoreFiles(
            Path(options.output), stem, formats, threshold=watcher.threshold, overwrite=options.overwrite
        )
    highest, last, events = 0.0, 0.0, 0

    def noted() -> Iterator[Moment]:
        nonlocal highest, last
        for moment in itertools.chain([first], moments):
            highest, last = max(highest, moment.score), moment.seconds
            monitor.position(moment.seconds, start=0.0, end=None)
            if files:
                files.moment(moment)
            yield moment

    try:
        for event in watcher.find(noted()):
            events += 1
            if files:
                files.event(event)
            start, end = (clock(round(1000 * s), ".") for s in (event.start_seconds, event.end_seconds))
            monitor.clear()
            print(f"{visible(path)}: {start} to {end}: {told(event)}", flush=True)
    except BaseException as error:
        endless = path == "-" or options.follow is not None
        if files and not isinstance(error, VideoError) and not (endless and isinstance(error, KeyboardInterrupt)):
            files.discard()  # half of a file's scores would look like all of them
            files = None
        raise
    finally:
        monitor.clear()
        if files:
            files.close()
            for place in files.paths:
                monitor.say(str(place))
    if not events:
        share = highest / watcher.threshold
        length = counted(round(last), "second")
        print(f"{visible(path)}: no anomaly in {length} (highest score: {share:.2f} of the threshold)")


def _stems(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Each video with the stem of its files' names: two videos of one name in two folders get two."""
    taken: dict[str, str] = {}
    for path in paths:
        own = "stdin" if path == "-" else Path(path).stem
        names = itertools.chain([own], (f"{own}-{number}" for number in itertools.count(2)))
        taken[next(name for name in names if name not in taken)] = path
    return [(path, stem) for stem, path in taken.items()]


def _files(options: argparse.Namespace, what: str) -> list[str]:
    """The files that the command line names; a folder that cannot be listed is an error."""
    from captioner.io.inputs import find_inputs

    stream = options.paths.count("-")
    if stream > 1 or (stream and len(options.paths) > 1):
        raise UsageError("a stream on standard input can only be scored alone; give - and nothing else")
    if stream:
        return ["-"]
    inputs = find_inputs(options.paths, recursive=options.recursive)
    for folder in inputs.unreadable:
        raise CaptionerError(f"cannot {what} the folder {folder.path}: {folder.reason}")
    return [item.path for item in inputs.items]
