"""Runs an exported captioner: frames by PyAV, the network by onnxruntime, the search in numpy. No torch."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioner.caption.merging import merge_captions
from captioner.caption.result import Caption, Place
from captioner.caption.scenes import surest
from captioner.caption.segments import Segments, segment_frames
from captioner.caption.telling import Evidence, Wording, choose, tell
from captioner.config import from_dict
from captioner.errors import CaptionerError, CheckpointError, ConfigError, first_line
from captioner.language.calibration import Calibration
from captioner.language.config import SearchConfig
from captioner.language.grounding import spelled_out
from captioner.language.hypothesis import Hypothesis
from captioner.language.lexicon import Lexicon
from captioner.language.pieces import BOS, EOS, PAD, UNK, Pieces
from captioner.language.reranker import Reranker
from captioner.retrieval.queries import Queries, Vocabulary
from captioner.runtime.beam import State, beam_search
from captioner.safe.json_text import read_settings
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames
from captioner.vision.choice import distinct_frames, look_every

FORMAT = 9
ENCODER, UNTUNED, MEMORY, STEP = "encoder.onnx", "untuned.onnx", "memory.onnx", "step.onnx"
CONFIG = "config.json"
QUERIES = "queries.npz"
LEXICON_ARRAYS = (
    "columns",
    "tokens",
    "said",
    "people",
    "several",
    "inputs",
    "acts",
    "rest",
    "within",
    "verbs",
    "being",
    "named",
    "kinds",
)
DEFAULT = Path(__file__).parent / "default"
"""The packaged captioner in eight bits; in captioner-runtime alone (recipes/runtime)."""
_FRAMES_AT_ONCE = 8


class Runner:
    """Captions video files with what ``captioner export`` wrote.

    >>> Runner("exported").caption("clip.mp4").text  # doctest: +SKIP
    'a man is playing a guitar'
    """

    def __init__(self, folder: str | Path | None = None, *, threads: int | None = None) -> None:
        """``folder``: by default the export that captioner-runtime ships.

        Raises CheckpointError for a folder that is no export, ConfigError where onnxruntime is missing.
        """
        if folder is None and not DEFAULT.is_dir():
            raise CheckpointError("no exported captioner is packaged here; write one: captioner export -o DIR --int8")
        folder = Path(folder or DEFAULT)
        try:
            values = read_settings(folder / CONFIG, error=CheckpointError)
            known = values["runtime"]
        except (CheckpointError, KeyError):
            raise CheckpointError(
                f"{folder} is not what `captioner export` writes: it lacks the {CONFIG} of an export"
            ) from None
        if known != FORMAT:
            raise CheckpointError(f"{folder} has export format {known!r}; this version of captioner reads {FORMAT}")
        self.video = from_dict(VideoConfig, values["video"], where="video")
        self.search = from_dict(SearchConfig, values["search"], where="search")
        self._encoder, self._memory, self._step = (_session(folder / name, threads) for name in (ENCODER, MEMORY, STEP))
        self._untuned = _session(folder / UNTUNED, threads) if values["untuned"] else None
        calibration, words = values["calibration"], values["words"]
        pieces = Pieces([piece.encode("latin-1") for piece in values["pieces"]])
        lexicon = _lexicon(values["lexicon"], pieces) if values["lexicon"] else None
        self._wording = Wording(
            pieces=pieces,
            reranker=_reranker(values) if words else None,
            calibration=from_dict(Calibration, calibration, where="calibration") if calibration else None,
            fingerprint=str(values["fingerprint"]),
            lexicon=lexicon,
            reliability=np.array(values["reliability"], dtype=np.float32) if lexicon else None,
            queries=_queries(folder / QUERIES, values["query_words"]) if values["query_words"] else None,
        )
        self._begins_word = np.array(self._wording.pieces.begins_word())
        self._places = int(values["places"])
        self._has_evidence = bool(values["evidence"])

    @property
    def fingerprint(self) -> str:
        """Of the checkpoint that was exported."""
        return self._wording.fingerprint

    def caption(self, path: str | os.PathLike[str], *, timeout_seconds: float | None = 60.0) -> Caption:
        """Caption one video file or image. Raises VideoError."""
        return self.caption_frames(sample_frames(path, self.video, timeout_seconds=timeout_seconds), path=str(path))

    def captions(
        self, path: str | os.PathLike[str], *, segments: Segments | None, timeout_seconds: float | None = 60.0
    ) -> Iterator[Caption]:
        """Caption a film segment by segment (None: the whole), as it is read; neighbours that say the same are one.

        Raises VideoError, perhaps after some captions.
        """
        parts = segment_frames(path, self.video, segments=segments, timeout_seconds=timeout_seconds)
        places = ((frames, Place(str(path), span.start_seconds, span.end_seconds)) for span, frames in parts)
        yield from merge_captions(self._of(frames, place) for frames, place in places)

    def caption_frames(self, frames: Frames, *, path: str = "") -> Caption:
        """Caption the frames of a clip."""
        return self._of(frames, Place(path, 0.0, None))

    def _of(self, frames: Frames, place: Place) -> Caption:
        features, looked = self._features(frames.pixels)
        whole = self._tell(features, looked, frames, place)
        if not self._wording.reranks(self.search):
            return whole

        def tell_parts(parts: Sequence[Frames], scenes: Sequence[slice]) -> list[Caption]:
            some = zip(parts, scenes, strict=True)
            return [self._tell(features[scene], looked[scene], part, place) for part, scene in some]

        return surest(whole, frames, features[:, : self._places], tell_parts, change=self.search.scene_change)

    def _tell(self, features: np.ndarray, looked: np.ndarray, frames: Frames, place: Place) -> Caption:
        """The caption of a clip as one scene."""
        values, keys, evidence, noun_probs, words, people, several, rendered, actions, vector, *start = (
            self._memory.run(None, {"features": features})
        )
        memory, state = {"values": values, "keys": keys, "evidence": evidence}, tuple(start)
        observed = self.search.evidence and self._has_evidence
        seen = Evidence(
            noun_probs=noun_probs * looked[:, None] if observed else None,
            word_probs=words if self._wording.reranker else None,
            people_prob=float(people),
            several_prob=float(several),
            rendered_prob=float(rendered),
            action_probs=actions if observed and len(actions) else None,
            reliability=self._wording.reliability,
            vector=vector,
        )
        best = choose(self._find(memory, state, seen), self._wording, evidence=seen, config=self.search)
        return tell(
            best,
            self._wording,
            attention=self._attend(memory, state, best[0].tokens),
            gates=None,
            evidence=seen,
            frames=frames,
            place=place,
            min_confidence=self.search.min_confidence,
        )

    def _find(self, memory: dict[str, np.ndarray], state: State, seen: Evidence) -> list[Hypothesis]:
        """The hypotheses."""
        condition = self._wording.condition(seen, self.search)

        def step(tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
            log_probs, _, *after = self._advance(memory, tokens, state)
            return log_probs, tuple(after)

        found = beam_search(
            condition.step(step) if condition else step,
            condition.start(state) if condition else state,
            config=self._wording.searched(self.search),
            bos_id=BOS,
            eos_id=EOS,
            banned=(PAD, BOS, UNK),
            begins_word=self._begins_word,
            required=int(condition.token) if condition else -1,
        )
        return spelled_out(found, condition.lexicon) if condition else found

    def _features(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features (T, P, D) of frames (T, S, S, 3), and the frames (T,) that nouns are read from."""
        kept, places = distinct_frames(pixels)  # the others share features
        features, looked = _encode(self._encoder, pixels[kept])[places], np.ones(len(pixels), dtype=bool)
        if self._untuned is None:
            return features, looked
        looked[:] = False
        looked[look_every(len(features))] = True
        shown = np.zeros_like(features[:, :1])
        needed, sharing = np.unique(places[looked], return_inverse=True)
        shown[looked] = _encode(self._untuned, pixels[kept[needed]])[sharing]
        return np.concatenate([features, shown], axis=1), looked

    def _advance(self, memory: dict[str, np.ndarray], tokens: np.ndarray, state: State) -> list[np.ndarray]:
        given = {f"state{i}": part for i, part in enumerate(state)}
        outputs: list[np.ndarray] = self._step.run(None, {"tokens": tokens, **memory, **given})
        return outputs

    def _attend(self, memory: dict[str, np.ndarray], state: State, tokens: tuple[int, ...]) -> np.ndarray:
        """Where each piece of the caption looked: (L, T, P)."""
        looked = []
        inputs = np.array([BOS, *tokens])
        if self._wording.lexicon is not None:
            inputs = self._wording.lexicon.inputs[inputs]
        for token in inputs:
            _, weights, *after = self._advance(memory, np.array([token]), state)
            looked.append(weights.reshape(-1, self._places))
            state = tuple(after)
        return np.stack(looked)


def _encode(session: Any, pixels: np.ndarray) -> np.ndarray:
    """Features (T, P, D) of frames (T, S, S, 3)."""
    parts = np.array_split(pixels, math.ceil(len(pixels) / _FRAMES_AT_ONCE))
    return np.concatenate([session.run(None, {"pixels": part})[0] for part in parts])


def _reranker(values: dict[str, Any]) -> Reranker:
    table = np.frombuffer(base64.b64decode(values["phrases"]), dtype=np.uint8)
    names = values["lexicon"]["names"] if values["lexicon"] else ()
    return Reranker(
        values["words"],
        np.array(values["usual"]),
        table if len(table) else None,
        nouns=names,
        actions=values["actions"],
    )


def _queries(path: Path, words: list[str]) -> Queries:
    try:
        with np.load(path) as arrays:
            return Queries(dict(arrays), Vocabulary(words), fingerprint="")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot load {path}: {first_line(error)}") from None


def _lexicon(values: dict[str, Any], pieces: Pieces) -> Lexicon:
    arrays = {name: np.array(values[name], dtype=np.int64) for name in LEXICON_ARRAYS}
    return Lexicon(names=tuple(values["names"]), size=int(values["size"]), pieces=pieces, **arrays)


def _session(path: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("onnxruntime is needed; pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CaptionerError(f"cannot load {path}: {first_line(error)}") from error
