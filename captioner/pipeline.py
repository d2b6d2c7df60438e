"""From a path to a caption: the way every video takes through the product."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn.functional import pad

from captioner.caption import Alternative, Caption, Word
from captioner.checkpoint import Checkpoint, load_checkpoint
from captioner.collate import collate_captions, collate_clips
from captioner.errors import ConfigError
from captioner.language.config import SearchConfig
from captioner.language.search import Hypothesis
from captioner.naming import Sight, named, sights
from captioner.segments import segment_frames
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames

_BLANK = "there is nothing to see in it: its frames are plain, striped or noise"
_UNCALIBRATED = "min_confidence is a bare number here: the confidence of this checkpoint is not calibrated"


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


class Captioner:
    """Captions video files with one checkpoint.

    >>> Captioner.load().caption("clip.mp4").text  # doctest: +SKIP
    'a man is playing a guitar'
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | None = None) -> None:
        """Raises ConfigError for a device that is not there."""
        self.checkpoint = checkpoint
        self.device = _device(device)
        self.tokenizer = checkpoint.tokenizer
        self._begins_word = torch.tensor(checkpoint.tokenizer.begins_word())
        self._model = checkpoint.model.to(self.device)
        self._decoder = self._model.decoder
        self._encode = self._model.encoder.fast()

    @classmethod
    def load(cls, folder: str | Path | None = None, *, device: str | None = None) -> Captioner:
        """Load a checkpoint folder; by default the one inside the package. Raises CheckpointError and ConfigError."""
        return cls(load_checkpoint(folder), device=device)

    @property
    def video(self) -> VideoConfig:
        """The frame recipe the model was trained with."""
        return self.checkpoint.video

    @property
    def search(self) -> SearchConfig:
        """The default search settings of the checkpoint."""
        return self.checkpoint.search

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
        frames = sample_frames(
            path,
            video or self.video,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
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
        """Caption clips from their features, all in one batch; of ``clips`` all but the pixels is used.

        ``shape`` is the least number of clips and of frames that the batch is padded to: in batches of one shape a
        clip's results are the same to the last bit, whatever the others are (decision 0071).
        """
        if not clips:
            return []
        config = search or self.search
        with torch.inference_mode():
            filler = [features[0]] * (shape[0] - len(clips))
            padded, mask = collate_clips([*features, *filler], like=features[0])
            more = max(0, shape[1] - padded.shape[1])
            padded, mask = pad(padded, (0, 0, 0, 0, 0, more)), pad(mask, (0, more))
            memory = self._model.read(padded.to(self.device), mask.to(self.device))
            if not config.evidence:
                memory = memory._replace(evidence=None)
            found = self._model.generate(
                memory,
                config,
                bos_id=self.tokenizer.bos_id,
                eos_id=self.tokenizer.eos_id,
                banned=(self.tokenizer.pad_id, self.tokenizer.unk_id),
                begins_word=self._begins_word,
            )
            attention = self._attend(memory, [group[0] for group in found])
            nouns = self._nouns(features, config)
        captions = []
        for i, frames in enumerate(clips):
            span = spans[i] if spans else (0.0, None)
            captions.append(
                self._caption(
                    frames,
                    hypotheses=found[i],
                    attention=attention[i, :, : len(frames.times_seconds)],
                    nouns=nouns[i],
                    path=paths[i] if paths else "",
                    span=span,
                    min_confidence=config.min_confidence,
                )
            )
        return captions

    def _nouns(self, features: Sequence[np.ndarray], config: SearchConfig) -> list[torch.Tensor | None]:
        """The probabilities (T, N) of the nouns in each clip's frames."""
        evidence = self._model.evidence
        if evidence is None or not config.evidence:
            return [None] * len(features)
        return [evidence.probabilities(torch.from_numpy(array).to(self.device)).cpu() for array in features]

    def _attend(self, memory: Any, best: Sequence[Hypothesis]) -> torch.Tensor:
        """Where each word of each clip's best caption looked: (B, L, T, P)."""
        inputs, _ = collate_captions(
            [h.tokens for h in best], pad=self.tokenizer.pad_id, bos=self.tokenizer.bos_id, eos=self.tokenizer.eos_id
        )
        _, weights = self._decoder(memory, inputs[:, None].to(self.device))
        places = self._model.encoder.places
        return weights[:, 0].reshape(len(best), inputs.shape[1], -1, places).float().cpu()

    def _caption(
        self,
        frames: Frames,
        *,
        hypotheses: list[Hypothesis],
        attention: torch.Tensor,
        nouns: torch.Tensor | None,
        path: str,
        span: tuple[float, float | None],
        min_confidence: float,
    ) -> Caption:
        best = hypotheses[0]
        words = []
        for text, first, last in self.tokenizer.words(best.tokens):
            looked = attention[first:last].mean(dim=0)  # (T, P)
            shares = looked.sum(dim=1)
            grid = tuple(tuple(row) for row in looked.tolist()) if looked.shape[1] > 1 else ()
            words.append(
                Word(
                    text=text,
                    attention=tuple(shares.tolist()),
                    peak_seconds=frames.times_seconds[int(shares.argmax())],
                    grid=grid,
                )
            )
        text = self.tokenizer.decode(best.tokens)
        seen: tuple[Sight, ...] = ()
        if nouns is not None and not frames.is_blank:
            spoken = named([word.text for word in words], nouns.mean(dim=0))
            words = [replace(word, text=new) for word, new in zip(words, spoken, strict=True)]
            text = " ".join(spoken)
            seen = sights(nouns, frames.times_seconds, said=spoken)
        calibration = self.checkpoint.calibration
        mean = best.log_prob / max(1, len(best.token_log_probs))
        confidence = (
            calibration.confidence(mean, moving=len(frames.times_seconds) > 1) if calibration else math.exp(mean)
        )
        warnings = frames.warnings
        if frames.is_blank:
            confidence, warnings = 0.0, (*warnings, _BLANK)
        if min_confidence and not calibration:
            warnings = (*warnings, _UNCALIBRATED)
        return Caption(
            path=path,
            text=text,
            score=best.score,
            log_prob=best.log_prob,
            confidence=confidence,
            calibrated=calibration is not None,
            abstained=confidence < min_confidence,
            words=tuple(words),
            alternatives=self._alternatives(hypotheses, text),
            times_seconds=frames.times_seconds,
            start_seconds=span[0],
            end_seconds=span[1] if span[1] is not None else frames.duration_seconds,
            warnings=warnings,
            model=self.checkpoint.fingerprint,
            evidence=seen,
        )

    def _alternatives(self, hypotheses: list[Hypothesis], best: str) -> tuple[Alternative, ...]:
        """Each sentence once, the best way of writing it: pieces may spell the same words in several ways.

        ``best`` is the text of the first, which may say a noun that was seen in place of its own.
        """
        found: dict[str, Alternative] = {}
        for rank, h in enumerate(hypotheses):
            text = self.tokenizer.decode(h.tokens) if rank else best
            found.setdefault(text, Alternative(text=text, score=h.score, log_prob=h.log_prob))
        return tuple(found.values())
