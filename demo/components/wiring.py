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


def area(value: str = "", *, elem_id: str | None = None, elem_classes: str = "", events: tuple[str, ...] = ()) -> Any:
    """A component that shows our own HTML. Scripts of the page may send it ``events`` (assets/page.js)."""
    return gr.HTML(
        value,
        elem_id=elem_id,
        elem_classes=elem_classes,
        js_on_load=f"captioner.wire(element, trigger, {list(events)})" if events else None,
        apply_default_css=False,
    )
