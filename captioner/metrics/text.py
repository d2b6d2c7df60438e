"""Tokens as the field counts them: Stanford's PTBTokenizer 3.4.1 the way coco-caption runs it, without Java.

coco-caption tokenises with ``PTBTokenizer -preserveLines -lowerCase`` and drops a list of punctuation. The rules here
come from 400,000 probes of that program (words, abbreviations, every character of the basic plane), not from its
source. ``tests/metrics/test_metrics_java.py`` compares the two on real captions. The known differences are listed in
docs/decisions/0020-tokens-without-java.md.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

TOKENIZER = "ptb3.4.1py"
"""The tokeniser's name in the signature of a score; it changes whenever a token could."""

_PUNCTUATION = """'' ' ‛ ‹ › `` ` " “ ” « » &quot; &apos; &nbsp; . ? ! , : ... … ; - -- --- ---- – — ― &mdash;"""
_DROPPED = frozenset(_PUNCTUATION.split())
"""coco-caption's list, and what Stanford turns into one of its members. The list also has ``-LRB-`` and the like,
in capitals, which lower-cased text never holds: that is why ``-lrb-`` survives."""

_RENAMED = {
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "¢": "cents",
    "£": "#",
    "€": "$",
    "¤": "$",
    "₠": "$",
    "¼": "1/4",
    "½": "1/2",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
}
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}

# Abbreviations whose full stop belongs to them; those of the second list only with a capital, of the third only
# before a number ("no. 5").
_ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif capt cf cie cmdr co col
    colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri ft ga gen gov hon inc
    ind intl jan jos jr jul jun kan kans ky lieut lt ltd maj mar md messrs mfg mich minn mlle mme mo mon mont mr mrs
    ms msgr mt mtg natl neb nev nov oct okla penn pfc ph plc pres prof pte pty pvt rd rep reps rev rt sen sens sep
    sept seq sfc sgt spc sq sr st ste supt sys tel tenn thu thurs treas tue tues univ va vs vt wed wis wisc wm wyo
"""
_CAPITAL_ABBREVIATIONS = "ark az del ill la mass miss ore pa tex wash"
_NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop"
# Capitalised, these start a sentence: the full stop after a single letter then ends the one before.
_STARTERS = """
    a about according additionally after an as at but earlier he her here however if in it last many more now once one
    other our she since so some such that the their then there these they this we what when while yet you
"""

_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[ -][A-Za-z0-9]+)*( ?\.)?")
"""Most captions: words, hyphens and a full stop; no rule touches them but those of these words:"""
_NOT_PLAIN = frozenset(("cannot", "gonna", "gotta", "wanna", "lemme", "gimme"))
_KEEP_STOP = frozenset(_ABBREVIATIONS.split() + _CAPITAL_ABBREVIATIONS.split())

_STRAIGHT = str.maketrans("’‘", "'`", "\xad")  # a soft hyphen is nothing at all
_UNKNOWN = re.compile(
    r"(?<!\w)[\u2010\u2011]|[\u2010\u2011](?!\w)"  # hyphens, but between letters
    r"|[\u2012\u2024\u2025\u2027\u203c\u203d\u2043\u2045-\u205e\u20a1-\u20a3\u20a5-\u20ab\u20ad-\u20f0"
    r"\u2e00-\u2e2e\u3003\u3008-\u3011\u3014-\u3030\ufe00-\ufe6b]"
)
"""Characters that Stanford deletes, besides emoji and what Unicode does not call a character."""


def tokenize(caption: str) -> list[str]:
    """The tokens of one caption: lower-cased, punctuation dropped; white space of any kind only separates.

    An empty list for a caption without words.
    """
    text = " ".join(caption.split())
    if match := _PLAIN.fullmatch(text):
        words = text[: match.start(1) if match[1] else None].lower().split()
        stop_is_free = match[1] != "." or (len(words[-1]) > 1 and words[-1] not in _KEEP_STOP)
        if stop_is_free and _NOT_PLAIN.isdisjoint(words):
            return words
    text = text if text.isascii() else _printable(text)
    tokens: list[str] = []
    for match in _pattern().finditer(text if text.isascii() else _shape(text)):
        token = text[match.start() : match.end()].lower()
        if token not in _DROPPED:
            tokens += _escape(_RENAMED.get(token, token)).split()
    return tokens


def _escape(token: str) -> str:
    """Parentheses as ``-lrb-``, also inside a token (":)"); other brackets only when they stand alone."""
    if len(token) == 1:
        return _BRACKETS.get(token, token)
    return token.replace("(", "-lrb-").replace(")", "-rrb-") if token[0] != "<" else token


def _printable(text: str) -> str:
    """Straight quotes, and nothing that Stanford deletes: emoji, private and unassigned characters, controls."""
    text = text.translate(_STRAIGHT)
    known = (c if c <= "\uffff" and unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join(_UNKNOWN.sub(" ", "".join(known)).split())


def _shape(text: str) -> str:
    """As long as ``text``, with one letter and one digit standing for all those beyond ASCII.

    A pattern that lists every letter of Unicode takes three seconds to compile.
    """

    def stand_in(c: str) -> str:
        category = unicodedata.category(c)
        return "é" if category[0] in "LM" or c in "\u2010\u2011" else "0" if category == "Nd" else c

    return "".join(c if c.isascii() else stand_in(c) for c in text)


@cache
def _pattern() -> re.Pattern[str]:
    """One alternative a line; the first that fits wins, so that longer readings come first."""
    l, d = "A-Za-zé", "0-9"  # noqa: E741  (as short as the characters they stand for)
    letter, word, end = f"[{l}]", f"[{l}{d}]", f"(?![{l}{d}])"
    abbreviations = "|".join(_ABBREVIATIONS.split())
    capitals = "|".join(f"{w[0].upper()}(?i:{w[1:]})" for w in _CAPITAL_ABBREVIATIONS.split())
    numbered = "|".join(_NUMBER_ABBREVIATIONS.split())
    starters = "|".join(f"{w[0].upper()}(?i:{w[1:]})" for w in _STARTERS.split())
    rules = rf"""
    (?i:can(?=not{end})|gon(?=na{end})|got(?=ta{end})|wan(?=na{end})|lem(?=me{end})|gim(?=me{end}))(?!\w*-)
  | {letter}+(?=[ ]|$)                                              # most words: nothing but letters
  | </?{letter}[{l}{d}:._-]*(?:[ ]+{letter}[{l}{d}:._-]*(?:=(?:"[^"]*"|'[^']*'))?)*[ ]*/?>  # a tag
  | <!--.{{0,99}}?--> | <[!?]{letter}[^>]{{0,99}}>
  | &(?:amp|lt|gt|quot|apos|nbsp|mdash);
  | (?i:https?)://[^\s"<>|()]{{1,99}}?\.[^\s"<>|()]*[^\s"<>|.!?(){{}},-]         # addresses
  | (?:{word}[{l}{d}-]*\.)+(?:com|net|org|edu){end}(?:/[^\s"<>|()]*[^\s"<>|.!?(){{}},-])?
  | <?{word}[^\s"<>|()@]{{0,99}}@(?:[^\s"<>|().@]+\.)*[^\s"<>|().,@]*{word}>?
  | [#]{letter}+ | @[{l}_][{l}{d}_]*                                # hashtags, user names
  | [<>]?[:;=][o'^*-]?[()DdPp@{{[\]O\\]{end} | \^_\^ | -_-          # :-) and its kin
  | (?i:-[lr][rsc]b-)
  | (?i:'t(?=is|was))                                    # 't is
  | {letter}+?(?=(?i:n['`]t){end})                                # do n't
  | (?i:n['`]t){end}
  | '(?i:s|d|m|ll|re|ve){end}                            # it 's
  | '(?i:em|till?|cause)
  | 'n(?:'|{end})                                                   # rock 'n' roll
  | '[{d}]0s{end} | '[{d}]{{2}}(?!["'{l}{d}])                       # the '90s
  | (?i:ol|somethin)'{end} | (?i:[dlj]'(?!{letter}{{2}}))
  | (?i:[dlno]|qu)'{letter}{{2,}}                        # o'clock, d'artagnan
  | (?i:c'(?:mon|est)|s'mores|ma'am|[no]?e'er|nat'l){end} | (?i:[jy]'(?={letter}))
  | [A-Z]+(?:\+[A-Z]+)+{end} | [A-Z]+(?:&[A-Z]+)+         # A+B, R&B
  | (?i:c\+\+|[cf][#])
  | \([{d}]{{3}}\)(?=[ ]?[{d}]{{3}})                                # (555) 123-4567
  | {word}+(?:-{letter}+){{0,2}}(?:/{word}+(?:-{letter}+){{0,2}}){{1,2}}  # his/her, 1/2, rap/hip-hop
  | (?:US|HK|[A-Z])\$
  | {word}[{l}{d}.,]{{0,99}}(?:-{word}+)+                                  # t-shirt, 5-year-old, 5,000-foot
  | {word}+(?:_{word}+)+(?:-{word}+)*
  | (?i:ph\.d\.)
  | (?:(?i:{abbreviations})|{capitals})\.{end}
  | (?i:{numbered})\.(?=[ ]?[{d}])
  | {letter}(?=\.[ ](?:{starters}){end})                            # plan B. The ...
  | {letter}(?:\.{letter})*\.(?!{letter})                           # u.s.
  | {letter}{word}*(?:[.!?]{letter}{word}*)+                        # typed without a space: end.start
  | [+-]?(?:[{d}]*(?:[.:,][{d}]+)+|[{d}]+{end})                     # -5, 1,000.50, 9:30, .5
  | (?i:anti|pro)-
  | {word}+
  | [?!]+ | -{{5,}} | -{{1,4}} | \.{{3}} | '' | `` | [*]+ | _+ | [#]+ | @+ | << | >>
  | \S
    """
    return re.compile(rules, re.VERBOSE)
