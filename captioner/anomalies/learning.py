"""Learns what is normal from footage: trains the detector on most of it, and its threshold on the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.anomalies.detector import Detector, Foresight, Nearest
from captioner.anomalies.footage import read_footage
from captioner.anomalies.scoring import BLOCK_SECONDS, Smoother, Tail
from captioner.anomalies.sight import Sight
from captioner.errors import DataError, VideoError, VideoErrorCode, counted
from captioner.io.signals import Stop
from captioner.io.status import duration
from captioner.video.frames import probe
from captioner.vision.precision import fast_dtype

CHUNK_SECONDS = 10.0
FOLDS = 3
"""A third of the footage is not trained on: it tells what is usual, and how high the peaks are. Whole files, where
there are six or more, since the parts of one have their light in common; else every third chunk."""
FEW_SECONDS = 1800.0
"""Less footage than this is trained on three times over, so that each chunk is once among those that are not."""
LEAST_SECONDS = 30.0
_KEPT_BYTES = 256 << 20
"""Footage kept in memory; of more, a sample of chunks drawn evenly."""
_WARM_SECONDS = 2.0
"""What the detector sees before its scores count."""

LEAST_STEPS = 20
"""A training that is asked to stop is kept from this step on."""

Trained = Callable[[int, float], None]
"""Hears how many steps are done, and the error of the last."""
Tell = Callable[[str, float | None], None]
"""Hears what is done, and its share of this part of the work where that is known."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some seconds of one file."""

    file: int
    number: int
    seen: np.ndarray

    def fold(self, *, files: int) -> int:
        """Which third of the footage it belongs to, of so many files in all."""
        return (self.file if files >= 2 * FOLDS else self.number) % FOLDS

    def follows(self, other: Chunk | None) -> bool:
        """Whether it goes on where another ends."""
        return other is not None and (other.file, other.number + 1) == (self.file, self.number)


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What came of it."""

    detector: Detector
    tail: Tail
    seconds: float
    """Of normal footage in all."""
    stopped: str
    """Where the training was when it was asked to stop; empty: it came to its end."""
    failures: tuple[tuple[str, VideoErrorCode, str], ...]
    """Files that could not be read, each with the code and the reason."""


def learn(
    paths: Sequence[str | Path],
    footage: FootageConfig,
    config: DetectorConfig,
    *,
    timeout_seconds: float | None = 60.0,
    tell: Tell = lambda text, share: None,
    stop: Stop | None = None,
) -> Learnt:
    """A detector of what these files of normal footage do not have. Raises DataError for too little of it.

    Once ``stop`` is asked for, what was learnt so far becomes the detector.
    """
    stop = stop or Stop()
    sight = Sight(footage)
    chunks, failures, seconds = _gather(paths, sight, config.seed, timeout_seconds, tell)
    if seconds < LEAST_SECONDS:
        named = f"; {failures[0][2]}" if failures else ""
        raise DataError(
            f"normal footage of {counted(round(seconds), 'second')} is too little: "
            f"at least {LEAST_SECONDS:.0f} are needed{named}"
        )
    files = len({chunk.file for chunk in chunks})
    folds = {chunk.number: chunk.fold(files=files) for chunk in chunks}
    count = FOLDS if seconds < FEW_SECONDS else 1
    first, held_out, step, stopped = None, [], 0, ""

    def trained(done: int, error: float) -> None:
        nonlocal step
        step = done
        share = (fold + done / config.steps) / count
        tell(f"training {fold + 1} of {count}: step {done} of {config.steps}, error {error:.4f}", share)

    for fold in range(count):
        training = _runs([chunk for chunk in chunks if folds[chunk.number] != fold])
        step = 0
        detector = _fit(footage, config, training, least=0 if first else LEAST_STEPS, tell=trained, stop=stop)
        if stop.asked and step < config.steps:
            stopped = f"training {fold + 1} of {count}, step {step} of {config.steps}"
            if first:
                break  # an earlier training is whole
        first = first or detector
        held_files = {chunk.file for chunk in chunks if folds[chunk.number] == fold}
        scored = _in_order(detector, [chunk for chunk in chunks if chunk.file in held_files])
        held_out += [errors for chunk, errors in scored if folds[chunk.number] == fold]
        if stopped:
            break
    assert first is not None
    tail = _calibrate(first, held_out)
    return Learnt(detector=first, tail=tail, seconds=seconds, stopped=stopped, failures=failures)


def _fit(
    footage: FootageConfig,
    config: DetectorConfig,
    training: Sequence[np.ndarray],
    *,
    least: int = LEAST_STEPS,
    tell: Trained,
    stop: Stop,
) -> Detector:
    """A detector trained on runs of footage, asked to stop with at ``least`` so many steps."""
    torch.manual_seed(config.seed)
    detector = Detector(footage, config)
    detector.sight.fit(np.concatenate(training))
    if isinstance(detector.method, Foresight):
        _train(detector, detector.method, training, least=least, tell=tell, stop=stop)
    elif isinstance(detector.method, Nearest):
        _remember(detector, detector.method, training)
    return detector.eval()


def _gather(
    paths: Sequence[str | Path], sight: Sight, seed: int, timeout_seconds: float | None, tell: Tell
) -> tuple[list[Chunk], tuple[tuple[str, VideoErrorCode, str], ...], float]:
    """The footage in chunks (of much of it, a sample), the files that cannot be read, and the seconds of all."""
    generator = np.random.default_rng(seed)
    kept: list[Chunk] = []
    failures, number, pictures = [], 0, 0
    total = sum(map(_seconds, paths))
    for file, path in enumerate(paths):
        try:
            for seen in _chunks(path, sight, timeout_seconds):
                chunk = Chunk(file, number, seen)
                number += 1
                pictures += len(seen)
                limit = max(FOLDS * 2, int(_KEPT_BYTES // max(1, seen.nbytes)))
                if len(kept) < limit:
                    kept.append(chunk)
                elif (place := int(generator.integers(number))) < limit:
                    kept[place] = chunk
                seconds = pictures / sight.config.rate
                tell(f"{duration(seconds)} of normal footage read", min(1.0, seconds / total) if total else None)
        except VideoError as error:
            failures.append((str(path), error.code, str(error)))
    return sorted(kept, key=lambda chunk: chunk.number), tuple(failures), pictures / sight.config.rate


def _seconds(path: str | Path) -> float:
    """Of a file, as it says itself; 0 where it says nothing or cannot be read."""
    with suppress(VideoError):
        return probe(path).duration_seconds or 0.0
    return 0.0


def _chunks(path: str | Path, sight: Sight, timeout_seconds: float | None) -> Iterator[np.ndarray]:
    length = round(CHUNK_SECONDS * sight.config.rate)
    gathered: list[np.ndarray] = []
    for picture in read_footage(path, sight.config, timeout_seconds=timeout_seconds):
        gathered.append(picture.pixels)
        if len(gathered) == length:
            yield sight.look(np.stack(gathered))
            gathered = []
    if gathered:
        yield sight.look(np.stack(gathered))


def _runs(chunks: Sequence[Chunk]) -> list[np.ndarray]:
    """Chunks that follow each other, in one."""
    runs: list[list[Chunk]] = []
    for chunk in chunks:
        if runs and chunk.follows(runs[-1][-1]):
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return [np.concatenate([chunk.seen for chunk in run]) for run in runs]


def _train(
    detector: Detector,
    method: Foresight,
    runs: Sequence[np.ndarray],
    *,
    least: int,
    tell: Trained,
    stop: Stop,
) -> None:
    """By the mean squared error of its predictions, with Adam and a cosine schedule."""
    stop.keep()
    error = 0.0
    config = detector.config
    starts = [(i, j) for i, run in enumerate(runs) for j in range(len(run) - config.window + 1)]
    if not starts:
        seconds = config.window / detector.footage.rate
        raise DataError(f"no file of normal footage is {seconds:.0f} seconds long; give one that is at least as long")
    generator = torch.Generator().manual_seed(config.seed)
    optimiser = torch.optim.Adam(method.parameters(), lr=config.learning_rate)
    fast = fast_dtype(torch.device("cpu")) == torch.bfloat16
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    for step in range(config.steps):
        if stop.asked and step >= least:
            break
        chosen = torch.randint(len(starts), (config.batch_size,), generator=generator).tolist()
        windows = [runs[i][j : j + config.window] for i, j in (starts[k] for k in chosen)]
        maps = torch.stack([detector.sight(window).maps for window in windows])
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            loss = _loss(method, maps, config.forget, generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        error = loss.item()
        tell(step + 1, error)
    if not math.isfinite(error):
        raise DataError("the training has diverged; a lower learning rate may help")


def _loss(method: Foresight, maps: Tensor, forget: float, generator: torch.Generator) -> Tensor:
    """Of sequences (B, T, C, h, w)."""
    state, total = method.gru.start(len(maps)), maps.new_zeros(())
    for t in range(maps.shape[1] - 1):
        keeps = torch.rand(len(maps), 1, 1, 1, generator=generator) >= forget
        predicted, state = method.gru(maps[:, t], state * keeps)
        total = total + (predicted.float() - maps[:, t + 1]).square().mean()
    return total / (maps.shape[1] - 1)


def _remember(detector: Detector, method: Nearest, runs: Sequence[np.ndarray]) -> None:
    """Keep as many pictures as there is room for, evenly spread."""
    seen = np.concatenate(runs)
    count = method.memories.shape[1]
    chosen = seen[np.linspace(0, len(seen) - 1, count).round().astype(int)]
    method.memories.copy_(detector.sight(chosen).maps.flatten(2).permute(2, 0, 1))


def _calibrate(detector: Detector, held_out: Sequence[Tensor]) -> Tail:
    """Set what is usual at each place, and fit the tail of the peaks, by the errors (T, h, w) of chunks that were not
    trained on.
    """
    warm = round(_WARM_SECONDS * detector.footage.rate)
    usual = torch.cat([errors[min(warm, len(errors) // 2) :] for errors in held_out]).mean(dim=0)
    detector.usual.copy_(usual + usual.mean())
    peaks = []
    for errors in held_out:
        smoother = Smoother(detector.footage.see)
        scores = [smoother.push(0.0, each).score for each in (errors / detector.usual).numpy()][warm:]
        size = round(BLOCK_SECONDS * detector.footage.rate)
        blocks = [scores[i : i + size] for i in range(0, len(scores), size)]
        peaks += [max(block) for block in blocks if len(block) > size // 2]
    if len(peaks) < 4:
        raise DataError("the files of normal footage are too short to set a threshold; give longer ones")
    return Tail.fit(np.array(peaks, np.float32))


def _in_order(detector: Detector, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Tensor]]:
    """Each chunk's errors, the state carried on where one follows another."""
    state, before = None, None
    for chunk in chunks:
        errors, state = detector.errors(chunk.seen, state if chunk.follows(before) else None)
        yield chunk, errors
        before = chunk
