"""One caption as the page shows it: the sentence, its confidence, words over time and the n-best list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from captioner.caption.result import UNSURE, Alternative, Caption
from demo import strings
from demo.components.pictures import strip
from demo.components.words import clock, percent, words_over_time
from demo.engine import Seen


def empty(message: str) -> str:
    """What stands where a result will be."""
    return f'<p class="cap-empty">{escape(message)}</p>'


def result(seen: Seen, *, player: str) -> str:
    """Everything about one caption, as HTML."""
    caption = seen.caption
    pictures = strip(seen.frames, squashed=seen.squashed)
    return (
        '<article class="cap-result">'
        + sentence(seen)
        + words_over_time(caption, pictures, player=player)
        + alternatives(caption.alternatives)
        + "</article>"
    )


def sentence(seen: Seen) -> str:
    """The sentence with its confidence, what that means, and what it was made from."""
    caption = seen.caption
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
        f'<p class="cap-sentence">{said(caption)}</p><div class="cap-facts">{confidence(caption)}'
        f"{_why(seen.meaning)}<span>{escape(frames)}</span></div>{notes}"
    )


def said(caption: Caption) -> str:
    """The sentence, marked where it is not to be relied on."""
    mark = f'<span class="cap-unsure">{UNSURE}</span>' if caption.abstained else ""
    return mark + escape(caption.text)


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
        f"<section><h3>{strings.ALTERNATIVES}</h3>{table(strings.ALTERNATIVE_COLUMNS, rows)}"
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
        f'<div class="cap-card"><h4>{names[strategy]}</h4>'
        f'<p class="cap-note">{strings.STRATEGY_NOTES[strategy]}</p>'
        f'<p class="cap-said">{said(seen.caption)}</p><p class="cap-facts">'
        f"{confidence(seen.caption)}<span>{strings.LOG_PROB} {seen.caption.log_prob:.2f}</span></p>"
        + _others(seen.caption.alternatives[1:])
        + "</div>"
        for strategy, seen in found.items()
    )
    return f'<section><h3>{strings.WAYS_HEADING}</h3><div class="cap-cards">{cards}</div></section>'


def _others(found: Sequence[Alternative]) -> str:
    return f"<ul>{''.join(f'<li>{escape(a.text)}</li>' for a in found)}</ul>" if found else ""


def progress(said: str, share: float | None) -> str:
    """A line that is read out, over a bar; None: no bar."""
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}" aria-hidden="true"></progress>'
    return f'<div class="cap-progress"><p role="status" aria-live="polite">{escape(said)}</p>{bar}</div>'
