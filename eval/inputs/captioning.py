"""Captioning the clips of a manifest into a file that an interrupted run goes on with."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner import __version__
from captioner.config import first_difference, to_dict
from captioner.errors import CaptionerError, DataError, VideoError
from captioner.io.ahead import work_ahead
from captioner.io.status import Status
from captioner.manifest import Clip
from captioner.safe.json_text import parse_json, read_settings
from captioner.safe.text import visible
from captioner.safe.whole import is_filled, write_whole, writing
from captioner.video.config import VideoConfig

if TYPE_CHECKING:
    from captioner.caption.clips import ClipModel
    from captioner.video.frames import Frames

BATCH = 8
"""Clips encoded and searched at once."""
AHEAD = 2 * BATCH
"""Clips decoded, or being decoded, before they are needed: about 40 MB at 16 frames of 224 x 224."""
DECODERS = 2

PREDICTIONS = "predictions.jsonl"
SETTINGS = "run.json"

Row = dict[str, Any]


def caption_clips(
    captioner: ClipModel,
    clips: Sequence[Clip],
    *,
    search: Any,
    out: Path,
    limit: int | None = None,
    timeout_seconds: float = 60.0,
) -> dict[str, Row]:
    """Caption those of the first ``limit`` clips that ``out/predictions.jsonl`` lacks; returns their rows by id.

    Rows are appended as they are made. A clip that cannot be captioned gets a row with ``error`` and ``code``, and
    is tried again by the next run. Raises DataError where ``out`` has captions of another checkpoint, of other clips
    or by other settings.
    """
    done, chosen = _resume(out, _settings(captioner, clips, search)), clips[:limit]
    todo = [clip for clip in chosen if "caption" not in done.get(clip.id, {})]
    if len(todo) < len(chosen):
        print(f"eval: {len(chosen) - len(todo)} of {len(chosen)} clips are captioned already", file=sys.stderr)
    status, count, failed = Status(), 0, 0
    with writing(out / PREDICTIONS), (out / PREDICTIONS).open("a", encoding="utf-8") as file:
        decode = partial(_decode, video=captioner.video, timeout_seconds=timeout_seconds)
        decoded = work_ahead(todo, decode, most=AHEAD, threads=DECODERS)
        while batch := list(islice(decoded, BATCH)):
            for row in _rows(captioner, batch, search):
                done[row["id"]] = row
                failed += "error" in row
                file.write(json.dumps(row, ensure_ascii=True) + "\n")
            file.flush()
            count += len(batch)
            told = f"{count:,} of {len(todo):,} clips" + f", {failed:,} failed" * bool(failed)
            status.show(told, share=count / len(todo))
    status.clear()
    return {clip.id: done[clip.id] for clip in chosen}


def _settings(captioner: ClipModel, clips: Sequence[Clip], search: Any) -> Row:
    """What decides the captions of a run, as ``run.json`` holds it."""
    places = json.dumps([[c.id, str(c.path), c.start_seconds, c.end_seconds] for c in clips])
    return {
        "captioner": __version__,
        "checkpoint": captioner.checkpoint.fingerprint,
        "clips": hashlib.sha256(places.encode("utf-8", "replace")).hexdigest()[:12],
        "video": to_dict(captioner.video),
        "search": to_dict(search),
    }


def print_failures(rows: Mapping[str, Row]) -> int:
    """Name on stderr each clip that could not be captioned, and why; returns how many there are."""
    failed = [row for row in rows.values() if "error" in row]
    for row in failed:
        print(f"eval: {visible(row['id'])}: {visible(row['error'])} [{row['code']}]", file=sys.stderr)
    return len(failed)


def is_own(out: Path) -> bool:
    """Whether a folder holds a run of this program, which the next one goes on with."""
    return is_filled(out / SETTINGS) and is_filled(out / PREDICTIONS)


def _resume(out: Path, wanted: Row) -> dict[str, Row]:
    """The rows of an earlier run by the same settings; makes the folder and its settings where there is none."""
    wanted = json.loads(json.dumps(wanted))  # as JSON gives it back: lists for tuples
    settings, predictions = out / SETTINGS, out / PREDICTIONS
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not is_filled(predictions):
            write_whole(settings, json.dumps(wanted, indent=1) + "\n", overwrite=_is_settings(settings))
            return {}
        found = read_settings(settings) if settings.exists() else {}
    except OSError as error:
        raise DataError(f"cannot resume in {out}: {error}") from error
    if found != wanted:
        why = first_difference(found, wanted) if found else f"it has no {SETTINGS}"
        raise DataError(f"{out} holds captions of another run ({why}); choose another --out, or delete that folder")
    return _read_rows(predictions)


def _is_settings(path: Path) -> bool:
    """Whether a ``run.json`` is one of ours, of a run that made nothing yet."""
    try:
        return {"captioner", "checkpoint", "clips"} <= set(read_settings(path))
    except DataError:
        return False


def _read_rows(path: Path) -> dict[str, Row]:
    """The last row of each clip. Half a line at the end, of a run that was killed, is cut off the file."""
    raw = path.read_bytes()
    if not raw.endswith(b"\n"):
        raw = raw[: raw.rfind(b"\n") + 1]
        with path.open("r+b") as file:
            file.truncate(len(raw))
    rows: dict[str, Row] = {}
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if line.strip():
            try:
                row = parse_json(line, name=path)
                rows[row["id"]] = row
            except (DataError, KeyError, TypeError) as error:
                raise DataError(f"{path}, line {number}: not a row of `eval run`; delete the folder") from error
    return rows


def _decode(clip: Clip, video: VideoConfig, timeout_seconds: float) -> Frames | CaptionerError:
    from captioner.video.frames import sample_frames

    if clip.path is None:
        return VideoError("not_found", f"the manifest names no file for {clip.id!r}")
    try:
        return sample_frames(
            clip.path,
            video,
            start_seconds=clip.start_seconds,
            end_seconds=clip.end_seconds,
            timeout_seconds=timeout_seconds,
        )
    except CaptionerError as error:
        return error


def _rows(captioner: ClipModel, batch: Sequence[tuple[Clip, Frames | CaptionerError]], search: Any) -> Iterator[Row]:
    from captioner.caption.clips import caption_frames
    from captioner.caption.result import Place
    from captioner.outputs.rows import row

    usable = [(clip, frames) for clip, frames in batch if not isinstance(frames, CaptionerError)]
    captions = caption_frames(
        captioner,
        [frames for _, frames in usable],
        places=[Place(str(clip.path), clip.start_seconds or 0.0, clip.end_seconds) for clip, _ in usable],
        search=search,
    )
    for (clip, _), caption in zip(usable, captions, strict=True):
        yield {"id": clip.id} | row(caption)
    for clip, problem in batch:
        if isinstance(problem, CaptionerError):
            # A start or end outside the clip is a ConfigError: wrong in the manifest, not in the file.
            code = problem.code if isinstance(problem, VideoError) else "span"
            yield {"id": clip.id, "path": str(clip.path), "error": str(problem), "code": code}
