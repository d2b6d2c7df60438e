"""Cancelling: asks a run to stop; the run then ends itself and keeps what it has.

Not gradio's ``cancels``: an update that is already on its way then overwrites what the cancelling shows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr


class Stops:
    """The runs under way, one a visitor."""

    def __init__(self) -> None:
        self._asked: dict[str, threading.Event] = {}

    @contextmanager
    def run(self, visitor: str) -> Iterator[threading.Event]:
        """A run of ``visitor``, which looks now and then whether the event is set; an earlier run is asked to stop."""
        self.ask(visitor)
        asked = self._asked[visitor] = threading.Event()
        try:
            yield asked
        finally:
            if self._asked.get(visitor) is asked:
                del self._asked[visitor]

    def ask(self, visitor: str) -> None:
        """Ask the run of ``visitor`` to stop; nothing happens where there is none."""
        if asked := self._asked.get(visitor):
            asked.set()

    def wire(self, button: gr.Button) -> None:
        """Let ``button`` ask the run of the visitor who presses it to stop."""

        def press(visitor: gr.Request) -> Any:
            self.ask(str(visitor.session_hash))
            return gr.update(interactive=False)

        button.click(press, None, button, queue=False, show_progress="hidden", api_visibility="private")


def buttons(*, running: bool) -> tuple[Any, Any]:
    """Updates of the button that starts a run and of the one that cancels it: one of them can be pressed."""
    return gr.update(interactive=not running), gr.update(interactive=running)
