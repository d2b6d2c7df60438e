"""Pairs clips with captions, reports what did not pair, and keeps the splits apart."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from captioner.errors import DataError, counted
from captioner.manifest import SPLITS, Clip, write_manifest
from captioner.safe.whole import is_filled

EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The part of a source video (on YouTube, say) that a clip was cut from."""

    source: str
    start_seconds: float
    end_seconds: float

    def overlaps(self, other: Moment) -> bool:
        """Whether both show the same moment of the same video (touching ends do not count)."""
        later_start = max(self.start_seconds, other.start_seconds)
        return self.source == other.source and later_start < min(self.end_seconds, other.end_seconds)


@dataclass(frozen=True, kw_only=True)
class Join:
    """What became of a data set. Every tuple of ids is in the order of the data set."""

    clips: tuple[Clip, ...]
    """Clips with captions and a split: the manifest."""
    text: tuple[Clip, ...] = ()
    """Train captions whose video has no file, as records without a path: the text manifest."""
    clips_without_captions: tuple[str, ...] = ()
    captions_without_clip: tuple[str, ...] = ()
    captions_without_split: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Whatever else the person should know, a line each."""


def assign(splits: dict[str, str], name: str, split: str) -> None:
    """Put ``name`` into ``split``; refuses an id that is in another split already."""
    if (before := splits.setdefault(name, split)) != split:
        raise DataError(f"the clip {name!r} is in two splits, {before} and {split}; take it out of one of them")


def parse_moment(name: str) -> Moment | None:
    """``<YouTube id>_<start>_<end>`` (seconds), as MSVD and VATEX name clips; None where a name is not of that form."""
    match = re.fullmatch(r"(.+)_(\d+)_(\d+)", name)
    return match and Moment(source=match[1], start_seconds=float(match[2]), end_seconds=float(match[3]))


def join(
    captions: Mapping[str, Sequence[str]],
    splits: Mapping[str, str],
    files: Mapping[str, Path],
    *,
    categories: Mapping[str, str] | None = None,
    moments: Mapping[str, Moment] | None = None,
    notes: Sequence[str] = (),
) -> Join:
    """Pair ``files`` with ``captions`` by id and keep those that have a split.

    ``files`` may be empty: then only the text manifest is wanted. ``moments`` tells which part of which
    source video an id stands for. Raises DataError when nothing pairs, or when the splits share a clip.
    """
    categories = categories or {}

    def clip(name: str) -> Clip:
        return Clip(
            id=name,
            path=files.get(name),
            split=splits[name],
            captions=tuple(captions[name]),
            category=categories.get(name),
        )

    usable = [name for name in captions if name in splits and captions[name]]
    clips = tuple(clip(name) for name in usable if name in files)
    text = tuple(clip(name) for name in usable if name not in files and splits[name] == "train")
    shown = {one.id: moments[one.id] for one in (*clips, *text) if moments and one.id in moments}
    result = Join(
        clips=clips,
        text=text,
        clips_without_captions=tuple(name for name in files if not captions.get(name)),
        captions_without_clip=tuple(name for name in captions if captions[name] and name not in files),
        captions_without_split=tuple(name for name in captions if name in files and name not in splits),
        notes=(*notes, *check_moments(shown, splits)),
    )
    if files and not result.clips:
        raise DataError(
            f"no clip has captions and a split: the {counted(len(files), 'file is', 'files are')} named like "
            f"{next(iter(files))!r}, the captions are for ids like {next(iter(captions), 'none at all')!r}; "
            "check that both belong together"
        )
    if not files and not result.text:
        raise DataError("there are no train captions to write")
    check_files(result.clips)
    return result


def check_moments(moments: Mapping[str, Moment], splits: Mapping[str, str]) -> list[str]:
    """Refuse one moment of a source video in two splits; returns a note on sources that give several splits."""
    by_source: dict[str, list[str]] = defaultdict(list)
    for name, moment in moments.items():
        by_source[moment.source].append(name)
    shared = {s: names for s, names in by_source.items() if len({splits[name] for name in names}) > 1}
    for names in shared.values():
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                if splits[one] != splits[other] and moments[one].overlaps(moments[other]):
                    raise DataError(
                        f"{one!r} ({splits[one]}) and {other!r} ({splits[other]}) show the same moment of "
                        f"{moments[one].source}; take one of them out"
                    )
    if not shared:
        return []
    where = "; ".join(", ".join(f"{name} ({splits[name]})" for name in names) for names in shared.values())
    return [f"{len(shared)} source video(s) give different moments to different splits: {where}"]


def check_files(clips: Iterable[Clip]) -> None:
    """Refuse a file, or a copy of one, that is in two splits. Only files of equal size are read."""
    by_size: dict[int, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.path is not None:
            by_size[_size(clip.path)].append(clip)
    for group in by_size.values():
        if len({clip.split for clip in group}) < 2:
            continue
        seen: dict[str, Clip] = {}
        for clip in group:
            assert clip.path is not None
            first = seen.setdefault(file_digest(clip.path), clip)
            if first.split != clip.split:
                raise DataError(
                    f"{clip.path} ({clip.split}) holds the same video as {first.path} ({first.split}); "
                    "a clip may be in one split only: take one of them out"
                )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read the clip {path}: {error.strerror}") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read the clip {path}: {error.strerror}") from error


def write(result: Join, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write ``out/manifest.jsonl`` and ``out/text.jsonl``; returns those that there was something for.

    Files that are there stay, and raise CaptionerError, unless they are the same or ``overwrite``. With that, a file
    that this data set has nothing for is removed: the folder shows this run.
    """
    written = []
    for name, clips in (("manifest.jsonl", result.clips), ("text.jsonl", result.text)):
        if not clips and not overwrite and is_filled(out / name):
            raise DataError(f"{out / name} exists, and there is nothing for it here; --overwrite removes it")
    for name, clips in (("manifest.jsonl", result.clips), ("text.jsonl", result.text)):
        if clips:
            write_manifest(out / name, clips, overwrite=overwrite)
            written.append(out / name)
        else:
            (out / name).unlink(missing_ok=True)
    return written


def report(result: Join) -> str:
    """What joined and what did not, on both sides, for a person."""
    lines = []
    if result.clips:
        captions = sum(len(clip.captions) for clip in result.clips)
        labelled = any(clip.labels for clip in result.clips)
        what = "labels" if labelled else counted(captions, "caption")
        lines.append(f"{counted(len(result.clips), 'clip')} with {what} ({_by_split(result.clips)})")
        if labelled:
            missing = result.captions_without_clip
            return "\n".join(
                (*lines, f"{counted(len(missing), 'labelled name')} without a clip{_examples(missing)}", *result.notes)
            )
    for names, noun, what in (
        (result.clips_without_captions, "clip", "without captions, left out"),
        (result.captions_without_clip, "captioned video", "without a clip"),
        (result.captions_without_split, "captioned video", "in no split, left out"),
    ):
        if names:
            lines.append(f"{counted(len(names), noun)} {what}{_examples(names)}")
    if result.text:
        captions = sum(len(clip.captions) for clip in result.text)
        lines.append(
            f"{counted(captions, 'caption')} of {counted(len(result.text), 'train video')} without a clip kept as text"
        )
    return "\n".join((*lines, *result.notes))


def _by_split(clips: Sequence[Clip]) -> str:
    counts = Counter(clip.split for clip in clips)
    return ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)


def _examples(names: Sequence[str]) -> str:
    if not names:
        return ""
    return ": " + ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")
