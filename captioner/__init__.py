"""Small, offline video captioning: a CNN looks at frames, an attention GRU writes the sentence.

>>> from captioner import Captioner            # doctest: +SKIP
>>> Captioner.load().caption("clip.mp4").text  # doctest: +SKIP
'a man is playing a guitar'

Nothing heavy is imported until it is used, so ``captioner --help`` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captioner.actions.recognizer import Recognizer as Recognizer
    from captioner.anomalies.watcher import Watcher as Watcher
    from captioner.caption.captioner import Caption as Caption
    from captioner.caption.captioner import Captioner as Captioner
    from captioner.errors import CaptionerError as CaptionerError
    from captioner.errors import VideoError as VideoError
    from captioner.index.archive import Archive as Archive
    from captioner.index.archive import Found as Found
    from captioner.language.config import SearchConfig as SearchConfig
    from captioner.video.config import VideoConfig as VideoConfig

__version__ = "0.1.0"

_HOMES = {
    "Archive": "captioner.index.archive",
    "Caption": "captioner.caption.result",
    "Captioner": "captioner.caption.captioner",
    "CaptionerError": "captioner.errors",
    "Found": "captioner.index.archive",
    "Recognizer": "captioner.actions.recognizer",
    "SearchConfig": "captioner.language.config",
    "VideoConfig": "captioner.video.config",
    "VideoError": "captioner.errors",
    "Watcher": "captioner.anomalies.watcher",
}
__all__ = [
    "Archive",
    "Caption",
    "Captioner",
    "CaptionerError",
    "Found",
    "Recognizer",
    "SearchConfig",
    "VideoConfig",
    "VideoError",
    "Watcher",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'captioner' has no attribute {name!r}")
