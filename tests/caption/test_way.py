"""docs/why/design.md lists the files that a clip goes through, in the order in which it enters them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType

import captioner
from captioner import Captioner
from tests.media import render_clip

ROOT = Path(captioner.__file__).parent
LISTED = re.findall(
    r"^\| \d+ \| `captioner/(\S+\.py)` \|", (ROOT.parent / "docs/why/design.md").read_text(encoding="utf-8"), re.M
)


def test_a_warm_caption_enters_the_files_that_the_docs_list(tmp_path: Path) -> None:
    """The room of videos counts as its door, ``frames.py``: which of it a file enters depends on its container."""
    whole, clip = Captioner.load(), render_clip(tmp_path / "a.mp4")
    whole.caption(clip)
    entered: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            entered[str(path.relative_to(ROOT))] = None

    sys.setprofile(note)
    try:
        whole.caption(clip)
    finally:
        sys.setprofile(None)
    way = [
        name for name in entered if (name != "errors.py" and not name.startswith("video/")) or name == "video/frames.py"
    ]
    assert way == LISTED
    assert len(way) <= 20
