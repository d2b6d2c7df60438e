"""Pictures are well formed, whatever words are in them."""

from __future__ import annotations

from xml.etree import ElementTree

from captioner.outputs import svg
from captioner.training.trials import Trial, picture

ODD = """</title><script>alert("a & b's")</script>"""


def test_words_stay_words() -> None:
    drawn = svg.drawing(10, 5.5, svg.text(1, 2, ODD, class_=ODD), svg.rect(0, 0, 1, 1, svg.title(ODD)), ODD)
    root = ElementTree.fromstring(drawn)
    text = root.find("{*}text")
    assert text is not None and text.text == text.attrib["class"] == ODD == root.findtext("{*}rect/{*}title")
    assert root.attrib["viewBox"] == "0 0 10 5.5" and not root.findall(".//{*}script")


def test_jinja_takes_it_as_it_is() -> None:
    from jinja2 import Environment

    shown = svg.picture(2, 1, svg.polyline([(0, 0.25), (1, 2)]), label=ODD)
    assert Environment(autoescape=True).from_string("{{ it }}").render(it=shown) == shown
    assert ElementTree.fromstring(shown).attrib == {"viewBox": "0 0 2 1", "role": "img", "aria-label": ODD}


def test_settings_of_a_trial_are_written_as_they_are() -> None:
    """A setting may be any text, a path with an ampersand, say."""
    drawn = picture([Trial(0, {"encoder.source": "a&b<c"}, 0.5, "complete", 1.0)])
    assert "trial 0: 50.00 (complete); encoder.source = a&b<c" in ElementTree.fromstring(drawn).itertext()
