"""The captioner: frames in, caption out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from captioner.caption.clips import EncodedClip, caption_frames, find_device
from captioner.caption.parts import checkpoint_retriever, checkpoint_wording, to_tensors
from captioner.caption.result import Caption, Place
from captioner.caption.scenes import surest
from captioner.caption.segments import Segments, segment_frames
from captioner.caption.telling import Evidence, choose, tell
from captioner.checkpoint.captioning import Checkpoint, load_checkpoint
from captioner.language.config import SearchConfig
from captioner.language.decoder import Memory
from captioner.language.grounding import Condition
from captioner.language.hypothesis import Hypothesis
from captioner.language.pieces import BOS, PAD
from captioner.model import Observation
from captioner.retrieval.checkpoint import RetrieverCheckpoint
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames


class Captioner:
    """Captions video files with one checkpoint.

    >>> Captioner.load().caption("clip.mp4").text  # doctest: +SKIP
    'a man is playing a guitar'
    """

    def __init__(
        self, checkpoint: Checkpoint, *, device: str | None = None, retriever: RetrieverCheckpoint | None = None
    ) -> None:
        """``retriever`` says how well a sentence fits a clip; by default :func:`checkpoint_retriever`'s.

        Raises ConfigError for a device that is not there.
        """
        self.checkpoint = checkpoint
        self.tokenizer = checkpoint.tokenizer
        self.device = find_device(device)
        self._model = checkpoint.model.to(self.device)
        self.encoder = self._model.encoder.fast()
        self._model.decoder.lay_out_by_columns()
        self.retriever = retriever or checkpoint_retriever(checkpoint)
        self._wording = checkpoint_wording(checkpoint, self.retriever)
        lexicon = self._wording.lexicon
        self._lexicon = None if lexicon is None else to_tensors(lexicon, self.device)
        self._begins_word = torch.tensor(self._wording.pieces.begins_word())

    @classmethod
    def load(cls, folder: str | Path | None = None, *, device: str | None = None) -> Captioner:
        """Load a checkpoint folder; by default the one inside the package. Raises CheckpointError and ConfigError."""
        return cls(load_checkpoint(folder), device=device)

    @property
    def video(self) -> VideoConfig:
        """The frame recipe that the model was trained with."""
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

        Raises VideoError, with a code and one sentence, for a file that cannot be captioned.
        """
        frames = sample_frames(
            path,
            video or self.video,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            timeout_seconds=timeout_seconds,
        )
        place = Place(str(path), start_seconds or 0.0, end_seconds)
        return self._caption(frames, place, search)

    def caption_segments(
        self,
        path: str | Path,
        *,
        segments: Segments = "shots",
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        video: VideoConfig | None = None,
        search: SearchConfig | None = None,
        timeout_seconds: float | None = 60.0,
    ) -> Iterator[Caption]:
        """A caption of each shot of a film, or of each so many seconds, as soon as that part has been read.

        Memory does not grow with the film. ``merging.merge_captions`` makes one of neighbours that say the same.
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
            yield self._caption(frames, Place(str(path), span.start_seconds, span.end_seconds), search)

    def _caption(self, frames: Frames, place: Place, search: SearchConfig | None) -> Caption:
        return self.caption_encoded([EncodedClip(frames, self.encode(frames), place)], search=search)[0]

    def caption_frames(
        self, clips: Sequence[Frames], *, places: Sequence[Place] | None = None, search: SearchConfig | None = None
    ) -> list[Caption]:
        """Caption clips that are decoded already, all in one batch. ``places`` label the results."""
        return caption_frames(self, clips, places=places, search=search)

    def encode(self, frames: Frames) -> np.ndarray:
        """What the CNN sees in a clip: (T, P, D) float32. Any thread may call it, once one call has returned."""
        return self.encoder.clip(frames.pixels)

    def keeps(self, frames: Frames) -> np.ndarray:
        """No pixels: a caption is made from features alone."""
        return frames.pixels[:0].copy()

    @torch.inference_mode()
    def caption_encoded(
        self, clips: Sequence[EncodedClip], *, search: SearchConfig | None = None, shape: tuple[int, int] = (0, 0)
    ) -> list[Caption]:
        """The captions of clips from their features, in one batch that is padded to ``shape`` clips and frames.

        A clip of several scenes takes a second batch, of its scenes (:mod:`captioner.caption.scenes`).
        """
        if not clips:
            return []
        config = search or self.search
        told = self._tell(clips, config, shape)
        if not self._wording.reranks(config) or not config.scene_change:
            return told
        own = self._model.encoder.places

        def tell_parts(clip: EncodedClip, parts: Sequence[Frames], scenes: Sequence[slice]) -> list[Caption]:
            encoded = zip(parts, scenes, strict=True)
            return self._tell([EncodedClip(part, clip.features[scene], clip.place) for part, scene in encoded], config)

        return [
            surest(caption, clip.frames, clip.features[:, :own], partial(tell_parts, clip), change=config.scene_change)
            for caption, clip in zip(told, clips, strict=True)
        ]

    def _tell(
        self, clips: Sequence[EncodedClip], config: SearchConfig, shape: tuple[int, int] = (0, 0)
    ) -> list[Caption]:
        """The captions of clips, each as one scene."""
        batch = self.encoder.batch([clip.features for clip in clips], shape)
        observation = self._model.observe(*batch)
        memory = observation.memory if config.evidence else observation.memory._replace(evidence=None)
        evidence = _evidence(observation, self._wording.reliability, grounded=config.evidence)
        if config.match_weight and self.retriever is not None:
            vectors = self.retriever.model.vectors(*batch)
            evidence = [replace(seen, vector=vector) for seen, vector in zip(evidence, vectors, strict=True)]
        found = self._search(memory, evidence, config)
        best = [
            choose(group, self._wording, evidence=seen, config=config)
            for group, seen in zip(found, evidence, strict=True)
        ]
        attention, gates = self._trace(memory, [group[0] for group in best])
        told = []
        for i, clip in enumerate(clips):
            count = len(clip.frames.times_seconds)
            told.append(
                tell(
                    best[i],
                    self._wording,
                    attention=attention[i, :, :count],
                    gates=None if gates is None else gates[i],
                    evidence=evidence[i].first_frames(count),
                    frames=clip.frames,
                    place=clip.place,
                    min_confidence=config.min_confidence,
                )
            )
        return told

    def _search(self, memory: Memory, evidence: Sequence[Evidence], config: SearchConfig) -> list[list[Hypothesis]]:
        """The hypotheses of every clip."""
        conditions = [self._wording.condition(seen, config) for seen in evidence]
        given = [condition for condition in conditions if condition is not None]
        condition = None
        if given and self._lexicon is not None:
            condition = Condition(
                lexicon=self._lexicon,
                noun_probs=self._tensor([one.noun_probs for one in given]),
                action_probs=self._tensor([one.action_probs for one in given]),
                nobody=self._tensor([one.nobody for one in given]),
                alone=self._tensor([one.alone for one in given]),
                token=self._tensor([one.token for one in given]),
            )
        return self._model.generate(
            memory,
            self._wording.searched(config),
            begins_word=self._begins_word if condition else self._begins_word[: len(self.tokenizer)],
            condition=condition,
        )

    def _tensor(self, rows: Sequence[Any]) -> Tensor:
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def _trace(self, memory: Memory, best: Sequence[Hypothesis]) -> tuple[np.ndarray, np.ndarray | None]:
        """Where each piece of each clip's best caption looked (B, L, T, P), and its gates (B, L, 2)."""
        rows = [torch.tensor([BOS, *hypothesis.tokens]) for hypothesis in best]
        inputs = pad_sequence(rows, batch_first=True, padding_value=PAD)[:, None].to(self.device)
        if self._lexicon is not None:
            inputs = torch.as_tensor(self._lexicon.inputs)[inputs]
        weights, gates = self._model.decoder.trace(memory, inputs)
        looked = weights[:, 0].reshape(len(best), inputs.shape[2], -1, self._model.encoder.places)
        return looked.float().cpu().numpy(), None if gates is None else gates[:, 0].float().cpu().numpy()


def _evidence(observation: Observation, reliability: np.ndarray | None, *, grounded: bool) -> list[Evidence]:
    """Of each clip, as arrays; ``grounded``: with what the classifier saw."""
    noun_probs, word_probs, people_probs, several_probs, rendered_probs, action_probs = (
        None if part is None else part.cpu().numpy() for part in observation[1:]
    )
    return [
        Evidence(
            noun_probs=noun_probs[i] if noun_probs is not None and grounded else None,
            word_probs=None if word_probs is None else word_probs[i],
            people_prob=None if people_probs is None else float(people_probs[i]),
            several_prob=None if several_probs is None else float(several_probs[i]),
            rendered_prob=0.0 if rendered_probs is None else float(rendered_probs[i]),
            action_probs=action_probs[i] if action_probs is not None and grounded else None,
            reliability=reliability,
        )
        for i in range(len(observation.memory.mask))
    ]
