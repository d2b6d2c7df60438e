"""One caption as the page shows it: the sentence, its confidence, words over time and the n-best list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from captioner.caption.result import UNSURE, Alternative, Caption
from captioner.io.status import duration
from demo import strings
from demo.components.pictures import strip
from demo.components.words import clock, percent, words_over_time
from demo.engine import Seen
from demo.visit.correction import Told


def empty(message: str) -> str:
    """What stands where a result will be."""
    return f'<p class="cap-empty">{escape(message)}</p>'


def refused(said: str) -> str:
    """Why there is no result; it is read aloud."""
    return f'<p class="cap-refused"{said_aloud(said)}>{escape(said)}</p>'


def line(said: str) -> str:
    """A calm line that is read aloud."""
    return f'<p class="cap-note"{said_aloud(said)}>{escape(said)}</p>'


def reasons(seen: Seen, *, player: str, side: str = "") -> str:
    """Why it says so: its words over time, and the n-best list. ``side`` names one of two beside each other."""
    caption = seen.caption
    pictures = strip(seen.frames, squashed=seen.squashed)
    return words_over_time(caption, pictures, player=player, name=side) + alternatives(caption.alternatives)


def sentence(now: Told, *, player: str) -> str:
    """The sentence with its confidence, what that means, and what it was made from; a subtitle of the player too."""
    [caption] = now.captions
    times = caption.times_seconds
    frames = strings.FRAMES_SEEN.format(count=len(times), first=clock(times[0]), last=clock(times[-1]))
    warnings = [strings.WARNING.format(warning=warning) for warning in caption.warnings]
    saw = [
        strings.SIGHT.format(noun=s.noun, share=percent(s.probability), time=clock(s.peak_seconds))
        for s in caption.evidence
    ]
    warnings += [strings.SAW.format(sights=", ".join(saw))] * bool(saw)
    notes = "".join(f'<p class="cap-note">{escape(note)}</p>' for note in warnings)
    return (
        f'<article data-cues="{escape(player)}"{said_aloud(caption.told)}>'
        f'<p class="cap-sentence" {cue(caption)}>{said(caption)}</p><div class="cap-facts">'
        f"{sure(now)}{_why(now.meaning)}{scene(caption)}<span>{escape(frames)}</span></div>{notes}</article>"
    )


def scene(caption: Caption) -> str:
    """A button that seeks to the scene that the caption describes; nothing where it describes the whole part."""
    if caption.scene_seconds is None:
        return ""
    start, end = caption.scene_seconds
    told = strings.SCENE.format(start=clock(start), end=clock(end))
    return f'<button type="button" class="cap-scene" data-seek="{start:.3f}">{told}</button>'


def cue(caption: Caption) -> str:
    """The attributes that make an element a subtitle of the player that ``data-cues`` around it names."""
    start, end = caption.scene_seconds or (caption.start_seconds, end_of(caption))
    return f'data-seek="{start:.3f}" data-end="{end:.3f}" data-text="{escape(caption.told)}"'


def end_of(caption: Caption) -> float:
    """When a caption ends; where that is not known, a second after the last frame that was looked at."""
    return caption.times_seconds[-1] + 1.0 if caption.end_seconds is None else caption.end_seconds


def said_aloud(text: str) -> str:
    """The attribute that makes screen readers say ``text`` once the element is on the page."""
    return f' data-aloud="{escape(text)}"'


def sure(now: Told, index: int = 0) -> str:
    """How sure a caption is; of a sentence that the visitor wrote, whose it is."""
    return f"<span>{strings.CORRECTED}</span>" if index in now.corrected else confidence(now.captions[index])


def said(caption: Caption, *, text: str = "") -> str:
    """The sentence, prefixed in words where its confidence is low; ``text`` is the same sentence as HTML."""
    mark = f'<span class="cap-unsure">{UNSURE}</span>' if caption.abstained else ""
    return mark + (text or escape(caption.text))


def confidence(caption: Caption) -> str:
    """A bar, the figure, and in words what it is worth where it is a chance."""
    share = caption.confidence
    chance = next(words for least, words in strings.CHANCES if share >= least)
    told = f"{chance} ({percent(share)})" if caption.calibrated else f"{percent(share)} {strings.CONFIDENCE}"
    return bar(share, told)


def bar(share: float, told: str) -> str:
    """A bar filled to ``share``, and what is said of it (HTML)."""
    return (
        '<span class="cap-confidence"><span class="cap-bar" aria-hidden="true">'
        f'<span style="width:{100 * share:.0f}%"></span></span>{told}</span>'
    )


def _why(meaning: str) -> str:
    """What the percentage is, behind a question mark."""
    text = strings.CALIBRATED.format(good=meaning) if meaning else strings.UNCALIBRATED
    return (
        f'<details class="cap-why"><summary aria-label="{strings.WHY}">?</summary>'
        f'<p class="cap-note">{escape(text)}</p></details>'
    )


def alternatives(found: Sequence[Alternative]) -> str:
    """The n-best list as a table; nothing where there is only one."""
    if len(found) < 2:
        return ""
    rows = ((escape(a.text), f"{a.score:.2f}", f"{a.log_prob:.2f}") for a in found)
    return (
        f"<section><h2>{strings.ALTERNATIVES}</h2>{table(strings.ALTERNATIVE_COLUMNS, rows)}"
        f'<p class="cap-note">{strings.SCORE_NOTE}</p></section>'
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, label: str = "") -> str:
    """A table; the cells are HTML already, the heads are text."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    named = f' aria-label="{escape(label)}"' if label else ""
    return (
        f'<div class="cap-scroll"><table class="cap-list"{named}><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def ways(found: dict[str, Seen]) -> str:
    """What several strategies said of the same frames, side by side."""
    names = {value: name for name, value in strings.STRATEGIES.items()}
    cards = "".join(
        f'<div class="cap-card"><h3>{names[strategy]}</h3>'
        f'<p class="cap-note">{strings.STRATEGY_NOTES[strategy]}</p>'
        f'<p class="cap-said">{said(seen.caption)}</p><p class="cap-facts">'
        f"{confidence(seen.caption)}<span>{strings.LOG_PROB} {seen.caption.log_prob:.2f}</span></p>"
        + _others(seen.caption.alternatives[1:])
        + "</div>"
        for strategy, seen in found.items()
    )
    return f'<section><h2>{strings.WAYS_HEADING}</h2><div class="cap-cards">{cards}</div></section>'


def _others(found: Sequence[Alternative]) -> str:
    return f"<ul>{''.join(f'<li>{escape(a.text)}</li>' for a in found)}</ul>" if found else ""


def progress(said: str, share: float | None) -> str:
    """A line that is read aloud, over a bar; None: no bar."""
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}" aria-hidden="true"></progress>'
    return f'<div class="cap-progress"{said_aloud(said)}><p>{escape(said)}</p>{bar}</div>'


def working(work: str, seconds: float, told: Mapping[str, Any], *, ending: bool = False) -> str:
    """How far work in a process of its own is, from what it has ``told`` (:attr:`demo.child.Child.progress`)."""
    if ending:
        return progress(strings.WORK_ENDING, None)
    if not told:
        return progress(strings.WORK_BEGUN.format(work=work, seconds=seconds), None)
    text, left = told["text"], told["seconds_left"]
    if left is None:
        return progress(strings.WORK_PART.format(work=work, text=text), told["share"])
    return progress(strings.WORK_LEFT.format(work=work, text=text, left=duration(left)), told["share"])
