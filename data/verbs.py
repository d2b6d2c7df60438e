"""Derives labels from captions: the verb that most people use for a clip, or all words that many do."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from captioner.errors import DataError, counted
from captioner.manifest import read_manifest
from data.join import Join

SHARE = 0.4
"""Share of a clip's captions that must have the verb."""
_COMMON = 0.3
_FUNCTION_WORDS = {
    *("an", "and", "are", "as", "at", "be", "being", "by", "down", "for", "from", "he", "her", "his", "in", "into"),
    *("is", "it", "its", "of", "off", "on", "one", "onto", "or", "out", "over", "she", "some", "someone", "something"),
    *("that", "the", "their", "them", "there", "they", "this", "to", "two", "up", "very", "was", "while", "with"),
}
ROOTS = {"cutting": ("chopping", "slicing"), "talking": ("speaking",), "cooking": ("frying", "stirring")}
_NOT_A_VERB = {"something", "nothing", "anything", "everything", "string", "king", "ring", "building", "ceiling"}


def verbs(manifest: str | Path, *, at_least: int = 8) -> Join:
    """The clips of a captioned manifest, labelled with the ``-ing`` verb of most of their captions.

    The label is the verb that the largest share of a clip's captions has, at least 0.4. Near-synonyms of :data:`ROOTS`
    count as one. A verb is a class if ``at_least`` train clips have it; clips without such a verb are left out. Raises
    DataError when fewer than two classes remain.
    """
    clips = read_manifest(manifest)
    return _labelled(manifest, {clip.id: _verb(clip.captions) for clip in clips}, at_least=at_least)


def words(manifest: str | Path, *, at_least: int = 8) -> Join:
    """The clips of a captioned manifest, each labelled with all words that many of its captions share.

    The labels are the content words that a share of 0.3 of the captions has. A word is a class if ``at_least`` train
    clips have it; clips without such a word are left out. Raises DataError when fewer than two classes remain.
    """
    return _labelled(manifest, {clip.id: _common(clip.captions) for clip in read_manifest(manifest)}, at_least=at_least)


def _labelled(manifest: str | Path, chosen: dict[str, tuple[str, ...]], *, at_least: int) -> Join:
    clips = read_manifest(manifest)
    counts = Counter(label for clip in clips if clip.split == "train" for label in chosen[clip.id])
    kept = {label for label, count in counts.items() if count >= at_least}
    if len(kept) < 2:
        raise DataError(f"{manifest}: fewer than two classes have {at_least} train clips; lower --at-least")
    labelled = tuple(
        replace(clip, captions=(), labels=labels)
        for clip in clips
        if (labels := tuple(label for label in chosen[clip.id] if label in kept))
    )
    left_out = len(clips) - len(labelled)
    classes = ", ".join(f"{label} {counts[label]}" for label in sorted(kept, key=lambda label: (-counts[label], label)))
    notes = (f"classes and their train clips: {classes}", f"{counted(left_out, 'clip')} without one")
    return Join(clips=labelled, notes=notes)


def _common(captions: tuple[str, ...]) -> tuple[str, ...]:
    votes: Counter[str] = Counter()
    for caption in captions:
        votes.update(set(re.findall(r"[a-z]{2,}", caption.lower())) - _FUNCTION_WORDS)
    return tuple(sorted(word for word, count in votes.items() if count >= _COMMON * len(captions)))


def _verb(captions: tuple[str, ...]) -> tuple[str, ...]:
    root = {other: verb for verb, others in ROOTS.items() for other in others}
    votes: Counter[str] = Counter()
    for caption in captions:
        words = dict.fromkeys(re.findall(r"[a-z]+ing\b", caption.lower()))
        votes.update({root.get(word, word) for word in words if word not in _NOT_A_VERB and len(word) > 4})
    if not votes:
        return ()
    verb, count = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    return (verb,) if count >= SHARE * len(captions) else ()
