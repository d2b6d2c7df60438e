"""Pictures as SVG: numbers and words come in, markup that is safe to insert comes out."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Svg(str):
    """Markup. Any other string is text, which :func:`tag` escapes."""

    def __html__(self) -> str:
        """For Jinja, which would escape it too."""
        return self


def tag(name: str, *content: str, **attributes: str | float) -> Svg:
    """An element; ``text_anchor`` stands for the attribute text-anchor, ``class_`` for class."""
    named = "".join(
        f' {key.strip("_").replace("_", "-")}="{escape(_written(value))}"' for key, value in attributes.items()
    )
    inside = "".join(part if isinstance(part, Svg) else escape(part, quote=False) for part in content)
    return Svg(f"<{name}{named}>{inside}</{name}>" if inside else f"<{name}{named}/>")


def picture(width: float, height: float, *content: str, **attributes: str | float) -> Svg:
    """A picture inside a page, of so many units; screen readers say ``label``."""
    label = attributes.pop("label", "")
    seen = {"role": "img", "aria_label": label} if label else {}
    return tag("svg", *content, **attributes, viewBox=f"0 0 {_written(width)} {_written(height)}", **seen)


def drawing(width: float, height: float, *content: str) -> Svg:
    """A picture as a file: on white, in one font."""
    paper = tag("rect", width="100%", height="100%", fill="#fff")
    attributes = {"xmlns": "http://www.w3.org/2000/svg", "font_family": "sans-serif", "font_size": 12}
    return picture(width, height, paper, *content, **attributes)  # type: ignore[arg-type]


def line(x1: float, y1: float, x2: float, y2: float, **attributes: str | float) -> Svg:
    """From one point to another."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def rect(x: float, y: float, width: float, height: float, *content: str, **attributes: str | float) -> Svg:
    """A rectangle by its upper left corner."""
    return tag("rect", *content, x=x, y=y, width=width, height=height, **attributes)


def polyline(points: Iterable[tuple[float, float]], **attributes: str | float) -> Svg:
    """A line through points."""
    return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), **attributes)


def circle(x: float, y: float, radius: float, *content: str, **attributes: str | float) -> Svg:
    """A dot around a point."""
    return tag("circle", *content, cx=x, cy=y, r=radius, **attributes)


def text(x: float, y: float, words: str, **attributes: str | float) -> Svg:
    """Words on a line that begins, or with ``text_anchor`` ends or is centred, at a point."""
    return tag("text", words, x=x, y=y, **attributes)


def title(words: str) -> Svg:
    """What an element says when the mouse is over it."""
    return tag("title", words)


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
