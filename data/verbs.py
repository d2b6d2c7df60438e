"""Derives labels from captions: the verb that most people use for a clip."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from captioner.errors import DataError
from captioner.manifest import read_manifest
from data.join import Join

SHARE = 0.4
"""Share of a clip's captions that must have the verb."""
ROOTS = {"cutting": ("chopping", "slicing"), "talking": ("speaking",), "cooking": ("frying", "stirring")}
_NOT_A_VERB = {"something", "nothing", "anything", "everything", "string", "king", "ring", "building", "ceiling"}


def verbs(manifest: str | Path, *, at_least: int = 8) -> Join:
    """The clips of a captioned manifest, labelled with the ``-ing`` verb of most of their captions.

    A clip gets the verb that the largest share of its captions has (0.4 at least; near-synonyms of :data:`ROOTS` count
    as one), a verb is a class where ``at_least`` train clips have it, and clips without such a verb are left out.
    Raises DataError when fewer than two classes remain.
    """
    clips = read_manifest(manifest)
    chosen = {clip.id: verb for clip in clips if (verb := _verb(clip.captions))}
    counts = Counter(chosen[clip.id] for clip in clips if clip.split == "train" and clip.id in chosen)
    kept = {verb for verb, count in counts.items() if count >= at_least}
    if len(kept) < 2:
        raise DataError(f"{manifest}: fewer than two verbs have {at_least} train clips; lower --at-least")
    labelled = tuple(
        replace(clip, captions=(), labels=(chosen[clip.id],)) for clip in clips if chosen.get(clip.id) in kept
    )
    left_out = len(clips) - len(labelled)
    classes = ", ".join(f"{verb} {counts[verb]}" for verb in sorted(kept, key=lambda verb: -counts[verb]))
    return Join(clips=labelled, notes=(f"classes and their train clips: {classes}", f"{left_out} clips without one"))


def _verb(captions: tuple[str, ...]) -> str | None:
    root = {other: verb for verb, others in ROOTS.items() for other in others}
    votes: Counter[str] = Counter()
    for caption in captions:
        words = dict.fromkeys(re.findall(r"[a-z]+ing\b", caption.lower()))
        votes.update({root.get(word, word) for word in words if word not in _NOT_A_VERB and len(word) > 4})
    if not votes:
        return None
    verb, count = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    return verb if count >= SHARE * len(captions) else None
