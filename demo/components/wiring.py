"""How the tabs put our own HTML on the page and listen to it."""

from __future__ import annotations

from typing import Any, Final

import gradio as gr

QUIET: Final[dict[str, Any]] = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""Of an event whose handler shows by itself how far it is; whoever waits stands in our own line, not in gradio's."""


def columns(tab: str, *, more: bool = False) -> list[gr.Column]:
    """The columns of a tab: what goes in, what comes out and, with ``more``, the settings.

    What comes out stands beside the other two on a wide page, and between them on a phone.
    """
    names = ("in", "out", "more")[: 2 + more]
    with gr.Row(equal_height=False, elem_classes="cap-work"):
        return [gr.Column(min_width=320, elem_classes=f"cap-{name}", elem_id=f"{tab}-{name}") for name in names]


def area(value: str = "", *, elem_id: str | None = None, elem_classes: str = "", events: tuple[str, ...] = ()) -> Any:
    """A component that shows our own HTML. Scripts of the page may send it ``events`` (assets/page.js)."""
    return gr.HTML(
        value,
        elem_id=elem_id,
        elem_classes=elem_classes,
        js_on_load=f"captioner.wire(element, trigger, {list(events)})" if events else None,
        apply_default_css=False,
    )
