"""How work is done for a visitor: its turn in the line, what is seen meanwhile, and cancelling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from demo import strings
from demo.components.result import progress, refused
from demo.components.wiring import QUIET, area
from demo.limits import Refusal, told
from demo.visit.line import Line, Place

PACE_SECONDS = 0.4


class Pace:
    """True at first, then at most once in ``PACE_SECONDS``: fast work must not drown the page in updates."""

    def __init__(self) -> None:
        self._last = -PACE_SECONDS

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < PACE_SECONDS:
            return False
        self._last = now
        return True


class Stops:
    """The runs under way, one a visitor. A run that is asked to stop ends itself and keeps what it has.

    Not gradio's ``cancels``: an update that is already on its way then overwrites what the cancelling shows.
    """

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


def waiting(places: Iterable[Place]) -> Iterator[str]:
    """What a visitor reads until its turn comes, and then once it has come, as HTML."""
    for place in places:
        words = strings.WAITING_SOON if place.seconds is None else strings.WAITING
        yield progress(words.format(before=place.before, seconds=place.seconds or 0.0), None)
    yield progress(strings.CAPTIONING, None)


def turn(
    line: Line,
    held: str,
    work: Callable[[], tuple[Any, ...] | None],
    *,
    blank: tuple[Any, ...],
    pressed: bool = True,
) -> Iterator[tuple[Any, ...]]:
    """What is shown of short work on the video in a player: the note beside the player, then what ``work`` gives.

    Without a result the ``blank`` values stand there. ``work`` gives None where another video has come meanwhile. Where
    no button was ``pressed``, the note stays: it says already why a file was refused.
    """
    if not held:
        yield refused(strings.NO_FILE) if pressed else gr.skip(), *blank
        return
    try:
        with line.join() as places:
            for place in waiting(places):
                yield "" if pressed else gr.skip(), place, *blank[1:]
            found = work()
    except Exception as error:
        yield refused(told(error)), *blank
        return
    if found is not None:
        yield gr.skip(), *found


Work = Callable[..., Iterator[tuple[Any, ...]]]
"""Takes the visitor, the event that asks it to stop, and the inputs; gives values for the outputs, the status last."""


class LongRun:
    """The button that starts long work, the one that cancels it, and the line that says how far it is."""

    def __init__(self, line: Line, label: str, *, elem_id: str, variant: Any = "primary") -> None:
        """Draw the buttons inside the running Blocks."""
        self._line, self._stops, self._id = line, Stops(), elem_id
        with gr.Row():
            self._run = gr.Button(label, variant=variant, elem_id=f"{elem_id}-run")
            self._stop = gr.Button(strings.CANCEL, elem_id=f"{elem_id}-cancel", interactive=False)

    def status(self) -> gr.HTML:
        """Draw the line."""
        self._status = area(elem_id=f"{self._id}-status")
        return self._status

    def wire(self, work: Work, inputs: list[Any], outputs: list[Any]) -> None:
        """Let the buttons start and cancel ``work``."""

        def start(visitor: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
            yield from self._updates(str(visitor.session_hash), work, values, (gr.skip(),) * len(outputs))

        def cancel(visitor: gr.Request) -> Any:
            self._stops.ask(str(visitor.session_hash))
            return gr.update(interactive=False)

        self._run.click(start, inputs, [*outputs, self._status, self._run, self._stop], **QUIET)
        self._stop.click(cancel, None, self._stop, queue=False, show_progress="hidden", api_visibility="private")

    def _updates(
        self, visitor: str, work: Work, values: tuple[Any, ...], same: tuple[Any, ...]
    ) -> Iterator[tuple[Any, ...]]:
        running = gr.update(interactive=False), gr.update(interactive=True)
        ended = gr.update(interactive=True), gr.update(interactive=False)
        try:
            with self._stops.run(visitor) as stopped, self._line.join() as places:
                for place in waiting(places):
                    yield *same, place, *running
                    if stopped.is_set():
                        raise Refusal(strings.STOPPED)
                for update in work(visitor, stopped, *values):
                    yield *update, gr.skip(), gr.skip()
        except Exception as error:
            yield *same, refused(told(error)), *ended
            return
        yield *same, gr.skip(), *ended
