"""Reads a file and encodes its frames: the part that captioners and recognisers of actions share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from captioner.caption.result import Caption, Place
from captioner.caption.segments import segment_frames
from captioner.errors import ConfigError
from captioner.language.collate import collate_clips
from captioner.language.config import SearchConfig
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        why = "this torch is a CPU build" if torch.version.cuda is None else "no CUDA device can be used"
        raise ConfigError(f"device is {name!r}, but {why}; use 'cpu'")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device is {name!r}; it must be 'cpu' or 'cuda'") from None


class _Checkpoint(Protocol):
    """What every kind of checkpoint has."""

    @property
    def model(self) -> Any: ...
    @property
    def video(self) -> VideoConfig: ...
    @property
    def fingerprint(self) -> str: ...


class Reader(ABC):
    """Files in, what a network says of them out: what captions and actions have in common."""

    def __init__(self, checkpoint: _Checkpoint, *, device: str | None = None) -> None:
        """Raises ConfigError for a device that is not there."""
        self.checkpoint: Any = checkpoint
        self.device = _device(device)
        self._encode = checkpoint.model.to(self.device).encoder.fast()

    @property
    def video(self) -> VideoConfig:
        """The frame recipe the model was trained with."""
        return self.checkpoint.video

    @property
    @abstractmethod
    def search(self) -> SearchConfig:
        """The default search settings of the checkpoint."""

    def sample(
        self,
        path: str | Path,
        *,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        video: VideoConfig | None = None,
        timeout_seconds: float | None = 60.0,
    ) -> Frames:
        """The frames of a file that are looked at. Raises VideoError."""
        return sample_frames(
            path,
            video or self.video,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            timeout_seconds=timeout_seconds,
        )

    def caption(
        self,
        path: str | Path,
        *,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        video: VideoConfig | None = None,
        search: SearchConfig | None = None,
        timeout_seconds: float | None = 60.0,
    ) -> Caption:
        """Caption one video file or image, or the part from ``start_seconds`` to ``end_seconds`` of it.

        Raises VideoError, with a code and one sentence, for whatever cannot be captioned.
        """
        frames = self.sample(
            path,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            video=video,
            timeout_seconds=timeout_seconds,
        )
        found = self.caption_frames(
            [frames], paths=[str(path)], spans=[(start_seconds or 0.0, end_seconds)], search=search
        )
        return found[0]

    def caption_segments(
        self,
        path: str | Path,
        *,
        segments: Literal["shots"] | float = "shots",
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        video: VideoConfig | None = None,
        search: SearchConfig | None = None,
        timeout_seconds: float | None = 60.0,
    ) -> Iterator[Caption]:
        """A caption of each shot of a film, or of each so many seconds, as soon as that part has been read.

        Memory does not grow with the film. ``segments.merge_captions`` makes one of neighbours that say the same.
        ``timeout_seconds`` and errors are those of ``segments.segment_frames``.
        """
        found = segment_frames(
            path,
            video or self.video,
            segments=segments,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            timeout_seconds=timeout_seconds,
        )
        for span, frames in found:
            yield from self.caption_frames(
                [frames], paths=[str(path)], spans=[(span.start_seconds, span.end_seconds)], search=search
            )

    def caption_frames(
        self,
        clips: Sequence[Frames],
        *,
        paths: Sequence[str] | None = None,
        spans: Sequence[tuple[float, float | None]] | None = None,
        search: SearchConfig | None = None,
    ) -> list[Caption]:
        """Caption clips that are decoded already, all in one batch. ``paths`` and ``spans`` label the results."""
        features = [self.encode(frames) for frames in clips]
        return self.caption_encoded(clips, features, paths=paths, spans=spans, search=search)

    def encode(self, frames: Frames) -> np.ndarray:
        """What the CNN sees in a clip: (T, P, D) float32. Any thread may call it, once one call has returned."""
        with torch.inference_mode():
            return self._encode(torch.from_numpy(frames.pixels).to(self.device)).cpu().numpy()

    def keeps(self, frames: Frames) -> np.ndarray:
        """What of a clip's pixels is kept once it is encoded: none, unless a reader needs some to caption it."""
        return frames.pixels[:0].copy()

    def caption_encoded(
        self,
        clips: Sequence[Frames],
        features: Sequence[np.ndarray],
        *,
        paths: Sequence[str] | None = None,
        spans: Sequence[tuple[float, float | None]] | None = None,
        search: SearchConfig | None = None,
        shape: tuple[int, int] = (0, 0),
    ) -> list[Caption]:
        """The captions of clips from their features, in one batch; of their pixels it needs what :meth:`keeps` keeps.

        The batch is padded to at least ``shape`` clips and frames. In batches of one shape the results of a clip are
        the same to the last bit, whatever the others are (decision 0071).
        """
        if not clips:
            return []
        places = [Place(paths[i] if paths else "", *(spans[i] if spans else (0.0, None))) for i in range(len(clips))]
        with torch.inference_mode():
            return self._say(clips, features, places, config=search or self.search, shape=shape)

    @abstractmethod
    def _say(
        self,
        clips: Sequence[Frames],
        features: Sequence[np.ndarray],
        places: Sequence[Place],
        *,
        config: SearchConfig,
        shape: tuple[int, int],
    ) -> list[Caption]:
        """What :meth:`caption_encoded` gives, of one clip or more; in inference mode."""

    def _padded(self, features: Sequence[np.ndarray], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Features (B, T, P, D) and mask (B, T) on the device, padded to ``shape`` with copies and hidden frames."""
        filler = [features[0]] * (shape[0] - len(features))
        padded, mask = collate_clips([*features, *filler], like=features[0])
        more = max(0, shape[1] - padded.shape[1])
        return pad(padded, (0, 0, 0, 0, 0, more)).to(self.device), pad(mask, (0, more)).to(self.device)
