"""A file that may be anything becomes frames: opened safely, sampled by timestamp, upright, in shots or parts."""

from __future__ import annotations

from captioner.video.frames import Frames, VideoInfo, iter_frames, probe, sample_frames
from captioner.video.upright import SampledFrame

__all__ = ["Frames", "SampledFrame", "VideoInfo", "iter_frames", "probe", "sample_frames"]
