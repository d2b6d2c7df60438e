"""The decoder of a stream: FFmpeg's own, but libvpx for WebM with alpha, which FFmpeg's own leave out."""

from __future__ import annotations

from typing import Any

import av

from captioner.video.container import MAX_PIXELS

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def decoder_of(stream: Any) -> Any:
    """A codec context to decode the packets of ``stream`` with."""
    own = stream.codec_context
    if "1" in (stream.metadata.get("alpha_mode"), stream.metadata.get("ALPHA_MODE")):
        name = _WITH_ALPHA.get(own.codec.canonical_name)
        if name in av.codecs_available:
            context = av.CodecContext.create(name, "r")
            context.options = {"max_pixels": str(MAX_PIXELS)}
            context.thread_count = 1
            return context
    return own
