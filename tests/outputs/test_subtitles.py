"""Subtitles read back by other people's parsers, whatever the captions hold."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.caption.merging import merge_captions
from captioner.caption.result import Caption
from captioner.outputs.subtitles import LINE_LENGTH, shown_ms, srt, vtt, wrap
from tests.caption.test_merging import caption, patient

subrip = pytest.importorskip("srt", reason="pip install srt")
webvtt = pytest.importorskip("webvtt", reason="pip install webvtt-py")

TEXTS = st.one_of(
    st.text(max_size=120),
    st.sampled_from(
        ("a --> b", "1 < 2 & 3 > 2", "<i>no</i>", "one\n\ntwo", "{\\an8}up", "x" * 100, "", " ", "\x00", "-->")
    ),
)


def read_vtt(text: str) -> list[tuple[float, float, str]]:
    found = webvtt.from_buffer(io.StringIO(text))
    return [(seconds(c.start), seconds(c.end), c.raw_text) for c in found]


def seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


@st.composite
def films(draw: st.DrawFn) -> list[Caption]:
    """Captions in any order of times, as no honest run would give them."""
    moments = st.floats(0, 350_000)
    made = []
    for _ in range(draw(st.integers(0, 6))):
        start, length = draw(moments), draw(st.one_of(st.none(), st.floats(0, 100)))
        end = None if length is None else start + length
        made.append(caption(start, end, text=draw(TEXTS)))
    return made


@patient
@given(films())
def test_whatever_is_written_can_be_read(film: list[Caption]) -> None:
    parsed = list(subrip.parse("".join(srt(film))))
    cues = read_vtt("".join(vtt(film)))
    assert [p.index for p in parsed] == list(range(1, len(parsed) + 1))
    assert len(parsed) == len(cues)
    for (_, end, _), (start, _, _) in pairwise(cues):
        assert end <= start
    for p, (start, end, text) in zip(parsed, cues, strict=True):
        assert start < end
        assert p.start.total_seconds() == pytest.approx(start)
        assert p.end.total_seconds() == pytest.approx(end)
        assert "-->" not in text and "<" not in text and ">" not in text
        assert p.content and "-->" not in p.content


@patient
@given(st.text(max_size=200))
def test_wrapping_loses_no_word(text: str) -> None:
    lines = wrap(text)
    assert all(0 < len(line) <= LINE_LENGTH for line in lines)
    plain = "".join(c for c in text if c.isprintable() and c != " ").replace("-", "").replace(">", "")
    assert "".join(lines).replace(" ", "").replace("-", "").replace(">", "") == plain


def test_long_captions_are_wrapped_evenly() -> None:
    assert wrap("a man is talking") == ("a man is talking",)
    text = "a man in a red shirt is playing a guitar on a stage in the rain"
    assert wrap(text) == ("a man in a red shirt is playing", "a guitar on a stage in the rain")


def test_a_line_has_as_many_characters_as_broadcasters_give_it() -> None:
    assert wrap("a" * 20 + " " + "b" * 21) == ("a" * 20 + " " + "b" * 21,)
    assert wrap("a" * 20 + " " + "b" * 22) == ("a" * 20, "b" * 22)


def test_what_has_no_length_is_shown_for_a_second_or_to_its_last_frame() -> None:
    assert shown_ms(caption(2.5, None, times=(2.5,))) == (2500, 3500)
    assert shown_ms(caption(2.5, None, times=(2.5, 7.25))) == (2500, 7250)
    assert shown_ms(caption(2.5, 2.75, times=(2.5, 7.25))) == (2500, 2750)


def test_what_was_merged_is_one_cue() -> None:
    film = merge_captions([caption(0, 1.5), caption(1.5, 3.0004), caption(3.0004, 3600.25, text="a cat & <b>")])
    assert "".join(vtt(film)) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\na man runs\n\n"
        "00:00:03.000 --> 01:00:00.250\na cat &amp; &lt;b&gt;\n\n"
    )


def test_what_is_not_sure_says_so_and_what_is_not_said_is_not_shown() -> None:
    film = [caption(0, 1, abstained=True), caption(1, 2, text=""), caption(2, 3)]
    assert "".join(srt(film)) == (
        "1\n00:00:00,000 --> 00:00:01,000\nunsure: a man runs\n\n2\n00:00:02,000 --> 00:00:03,000\na man runs\n\n"
    )
    assert "".join(vtt([])) == "WEBVTT\n\n" and "".join(srt([])) == ""


def test_each_file_begins_anew() -> None:
    film = [caption(0, 9), caption(0, 2, path="b.mp4")]
    assert "".join(srt(film)).count("00:00:00,000 --> ") == 2


def test_cues_come_with_their_captions() -> None:
    seen = []

    def arriving() -> object:
        for c in (caption(0, 1), caption(1, 2)):
            seen.append(c)
            yield c

    written = vtt(arriving())  # type: ignore[arg-type]
    assert next(written) == "WEBVTT\n\n" and "a man runs" in next(written) and len(seen) == 1
