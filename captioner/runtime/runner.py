"""Runs an exported captioner: frames by PyAV, the network by onnxruntime, the search in numpy. No torch."""

from __future__ import annotations

import base64
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from captioner.caption.noun_correction import Glances, named, sights
from captioner.caption.result import Alternative, Caption, Sight, Word
from captioner.config import from_dict
from captioner.errors import CaptionerError, CheckpointError, ConfigError, first_line
from captioner.language.calibration import Calibration, confidence_of
from captioner.language.config import SearchConfig
from captioner.language.pieces import Pieces
from captioner.language.reranker import Choice
from captioner.runtime.beam import Sentence, State, beam_search
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames
from captioner.vision.nouns import look_every

FORMAT = 3
ENCODER, UNTUNED, MEMORY, STEP = "encoder.onnx", "untuned.onnx", "memory.onnx", "step.onnx"
CONFIG = "config.json"
_FRAMES_AT_ONCE = 8
_PAD, _BOS, _EOS, _UNK = range(4)


class Runner:
    """Captions video files with what ``captioner export`` wrote.

    >>> Runner("exported").caption("clip.mp4").text  # doctest: +SKIP
    'a man is playing a guitar'
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        """Raises CheckpointError for a folder that is no export, ConfigError where onnxruntime is missing."""
        folder = Path(folder)
        try:
            values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            known = values["runtime"]
        except (OSError, ValueError, KeyError, TypeError):
            raise CheckpointError(
                f"{folder} is not what `captioner export` writes: it has no {CONFIG} of one"
            ) from None
        if known != FORMAT:
            raise CheckpointError(f"{folder} has export format {known}; this version of captioner reads {FORMAT}")
        self.video = from_dict(VideoConfig, values["video"], where="video")
        self.search = from_dict(SearchConfig, values["search"], where="search")
        found = values["calibration"]
        self._calibration = from_dict(Calibration, found, where="calibration") if found else None
        self._pieces = Pieces([piece.encode("latin-1") for piece in values["pieces"]])
        self._places = int(values["places"])
        self._has_evidence = bool(values["evidence"])
        self._choice = _choice(values) if values["words"] else None
        self.fingerprint = str(values["fingerprint"])
        self._encoder, self._memory, self._step = (_session(folder / name, threads) for name in (ENCODER, MEMORY, STEP))
        self._untuned = _session(folder / UNTUNED, threads) if values["untuned"] else None

    def caption(self, path: str | os.PathLike[str], *, timeout_seconds: float | None = 60.0) -> Caption:
        """Caption one video file or image. Raises VideoError."""
        return self.caption_frames(sample_frames(path, self.video, timeout_seconds=timeout_seconds), path=str(path))

    def caption_frames(self, frames: Frames, *, path: str = "") -> Caption:
        """Caption the frames of a clip."""
        features = _encode(self._encoder, frames.pixels)
        looked = slice(None)
        if self._untuned is not None:
            looked = look_every(len(features))
            seen = np.zeros_like(features[:, :1])
            seen[looked] = _encode(self._untuned, frames.pixels[looked])
            features = np.concatenate([features, seen], axis=1)
        values, keys, evidence, nouns, words, *start = self._memory.run(None, {"features": features})
        memory = {"values": values, "keys": keys, "evidence": evidence}

        def step(tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
            log_probs, _, *after = self._advance(memory, tokens, state)
            return log_probs, tuple(after)

        state = tuple(start)
        choice = self._choice if self.search.reorders else None
        found = beam_search(
            step,
            state,
            config=replace(self.search, n_best=self.search.beams) if choice else self.search,
            bos_id=_BOS,
            eos_id=_EOS,
            banned=(_PAD, _UNK),
            begins_word=np.array(self._pieces.begins_word()),
        )
        if choice is not None:
            texts = [self._pieces.decode(sentence.tokens) for sentence in found]
            found = choice.order(found, texts, seen=words, config=self.search)[: self.search.n_best]
        attention = self._attend(memory, state, found[0].tokens)
        support = None
        if self._choice is not None:
            support = self._choice.support(self._pieces.decode(found[0].tokens), seen=words)
        glances = Glances(nouns[looked], frames.times_seconds[looked]) if self._has_evidence else None
        return self._tell(frames, path, found, attention, glances, support)

    def _advance(self, memory: dict[str, np.ndarray], tokens: np.ndarray, state: State) -> list[np.ndarray]:
        given = {f"state{i}": part for i, part in enumerate(state)}
        outputs: list[np.ndarray] = self._step.run(None, {"tokens": tokens, **memory, **given})
        return outputs

    def _attend(self, memory: dict[str, np.ndarray], state: State, tokens: tuple[int, ...]) -> np.ndarray:
        """Where each piece of the caption looked: (L, T)."""
        looked = []
        for token in (_BOS, *tokens):
            _, weights, *after = self._advance(memory, np.array([token]), state)
            looked.append(weights.reshape(-1, self._places).sum(axis=1))
            state = tuple(after)
        return np.stack(looked)

    def _tell(
        self,
        frames: Frames,
        path: str,
        found: list[Sentence],
        attention: np.ndarray,
        nouns: Glances | None,
        support: float | None,
    ) -> Caption:
        best, times = found[0], frames.times_seconds
        words = []
        for text, first, last in self._pieces.words(best.tokens):
            shares = attention[first:last].mean(axis=0)
            words.append((text, tuple(shares.tolist()), times[int(shares.argmax())]))
        spoken = [text for text, _, _ in words]
        seen: tuple[Sight, ...] = ()
        if nouns is not None and not frames.is_blank:
            familiar = self._choice.words if self._choice else None
            spoken = named(spoken, nouns.probabilities.mean(axis=0), familiar=familiar)
            seen = sights(nouns, said=spoken)
        sure = 0.0
        if not frames.is_blank:
            sure = confidence_of(
                self._calibration,
                best.log_prob / max(1, best.length),
                moving=len(times) > 1,
                words=len(spoken),
                seen=seen[0].probability if seen else 0.0,
                support=support or 0.0,
            )
        text = " ".join(spoken)
        return Caption(
            path=path,
            text=text,
            score=best.score,
            log_prob=best.log_prob,
            confidence=sure,
            calibrated=self._calibration is not None,
            abstained=sure < self.search.min_confidence,
            words=tuple(
                Word(text=said, attention=shares, peak_seconds=peak)
                for said, (_, shares, peak) in zip(spoken, words, strict=True)
            ),
            alternatives=(
                Alternative(text=text, score=best.score, log_prob=best.log_prob),
                *(
                    Alternative(text=self._pieces.decode(s.tokens), score=s.score, log_prob=s.log_prob)
                    for s in found[1:]
                ),
            ),
            times_seconds=times,
            start_seconds=0.0,
            end_seconds=frames.duration_seconds,
            warnings=frames.warnings,
            model=self.fingerprint,
            evidence=seen,
            support=support,
        )


def _encode(session: Any, pixels: np.ndarray) -> np.ndarray:
    """Features (T, P, D) of frames (T, S, S, 3)."""
    parts = np.array_split(pixels, math.ceil(len(pixels) / _FRAMES_AT_ONCE))
    return np.concatenate([session.run(None, {"pixels": part})[0] for part in parts])


def _choice(values: dict[str, Any]) -> Choice:
    table = np.frombuffer(base64.b64decode(values["phrases"]), dtype=np.uint8)
    return Choice(values["words"], np.array(values["usual"]), table if len(table) else None)


def _session(path: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError('onnxruntime is needed; pip install "captioner[onnx]"') from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CaptionerError(f"cannot load {path}: {first_line(error)}") from error
