"""Words over time: a table with a row for each word, a column for each frame, and where it looked as heat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from captioner.caption.result import Caption, Word
from demo import strings

FIT = 16
"""Frames that are shown without scrolling sideways, on a phone as well."""


def clock(seconds: float) -> str:
    """A moment as people read it: ``3.2 s``, ``2:05.0``, ``1:00:07.5``."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    if not minutes:
        return f"{rest / 10:.1f} s"
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest / 10:04.1f}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def words_over_time(caption: Caption, pictures: Sequence[str], *, player: str, name: str = "") -> str:
    """The table as HTML. ``pictures``: a ``data:`` URI for each frame; ``player``: id of the player that a choice
    seeks. All that came from outside (names, words) is escaped."""
    times = caption.times_seconds
    side = round(len(caption.words[0].grid[0]) ** 0.5) if caption.words and caption.words[0].grid else 0
    note = strings.WORDS_NOTE + (f" {strings.WORDS_GRID_NOTE}" if side else "")
    many = " cap-many" if len(times) > FIT else ""
    heads = "".join(_head(i, seconds, pictures[i], len(times)) for i, seconds in enumerate(times))
    rows = "".join(_row(i, word, times) for i, word in enumerate(caption.words))
    return (
        f'<section class="cap-words" data-player="{escape(player)}" data-grid="{side}">'
        f"<h2>{strings.WORDS_HEADING}</h2><p class=cap-note>{note}</p>"
        '<div class="cap-scroll" tabindex="0" role="region" '
        f'aria-label="{strings.WORDS_HEADING}{name and f" ({name})"}"><table class="cap-table{many}">'
        f'<thead data-rove=".cap-frame"><tr><th scope="col" class="cap-corner">{strings.WORD}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<figure class="cap-moment" hidden><div class="cap-stage"><img alt=""></div>'
        f"<figcaption></figcaption></figure>{_gates(caption.words, name)}</section>"
    )


def _gates(words: Sequence[Word], name: str) -> str:
    """How far the GRU's gates opened at each word, folded away; empty where the cell is no GRU."""
    if not words or any(word.gates is None for word in words):
        return ""
    rows = "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(
            f'<td style="--heat:{word.gates[i]:.2f}"><span>{percent(word.gates[i])}</span></td>'
            for word in words
            if word.gates
        )
        + "</tr>"
        for i, name in enumerate(strings.GATES)
    )
    region = strings.GATES_HEADING + (f" ({name})" if name else "")
    heads = "".join(f'<th scope="col">{escape(word.text)}</th>' for word in words)
    return (
        f'<details class="cap-gates"><summary>{strings.GATES_HEADING}</summary>'
        f'<p class="cap-note">{strings.GATES_NOTE}</p>'
        f'<div class="cap-scroll" tabindex="0" role="region" aria-label="{region}"><table>'
        f'<thead><tr><th scope="col" class="cap-corner">{strings.WORD}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _head(index: int, seconds: float, picture: str, count: int) -> str:
    moment = strings.FRAME_MOMENT.format(number=index + 1, count=count, time=clock(seconds))
    return (
        f'<th scope="col"><button type="button" class="cap-frame" data-frame="{index}" data-seek="{seconds:.3f}" '
        f'data-say="{escape(moment)}" aria-label="{escape(moment)}"><span class="cap-thumb">'
        f'<img src="{picture}" alt=""></span>'
        f'<span class="cap-time">{clock(seconds)}</span></button></th>'
    )


def _row(index: int, word: Word, times: Sequence[float]) -> str:
    top = max(word.attention)
    peak = word.attention.index(top)
    moment = strings.WORD_MOMENT.format(
        word=word.text, time=clock(word.peak_seconds), number=peak + 1, count=len(times), share=percent(top)
    )
    cells = "".join(
        _cell(share, share / top if top else 0.0, seconds, peak=i == peak)
        for i, (share, seconds) in enumerate(zip(word.attention, times, strict=True))
    )
    grid = escape(json.dumps([[round(p, 4) for p in places] for places in word.grid], separators=(",", ":")))
    return (
        f'<tr data-row="{index}"><th scope="row"><button type="button" class="cap-word" aria-pressed="false" '
        f'data-frame="{peak}" data-seek="{word.peak_seconds:.3f}" data-say="{escape(moment)}" data-places="{grid}">'
        f"{escape(word.text)}</button></th>{cells}</tr>"
    )


def _cell(share: float, relative: float, seconds: float, *, peak: bool) -> str:
    say = strings.CELL.format(share=percent(share), time=clock(seconds))
    mark = ' class="cap-peak"' if peak else ""
    return f'<td{mark} style="--heat:{relative:.2f}" title="{say}"><span class="cap-hidden">{say}</span></td>'
