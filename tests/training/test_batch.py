"""Batches: every caption once, little padding, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from captioner.training.batch import Example, bucket, collate_captions, collate_clips, draw_examples

captions = st.lists(st.lists(st.tuples(st.integers(4, 9)) | st.just((5, 6, 7)), max_size=6), min_size=1, max_size=9)


@given(captions, st.integers(0, 3), st.integers(0, 99))
def test_an_epoch_holds_each_clips_captions(tokens: list[list[tuple[int, ...]]], per_clip: int, seed: int) -> None:
    repeat = [1 + i % 2 for i in range(len(tokens))]
    drawn = draw_examples(tokens, repeat=repeat, per_clip=per_clip, rng=np.random.default_rng(seed))
    for clip, of_clip in enumerate(tokens):
        mine = [e.tokens for e in drawn if e.clip == clip]
        assert len(mine) == repeat[clip] * (min(per_clip, len(of_clip)) if per_clip else len(of_clip))
        assert not Counter(mine) - Counter(repeat[clip] * of_clip)


@given(st.lists(st.integers(1, 20), max_size=300), st.integers(1, 40), st.integers(0, 99))
def test_buckets_hold_everything_once(lengths: list[int], size: int, seed: int) -> None:
    examples = [Example(i, (7,) * n) for i, n in enumerate(lengths)]
    batches = bucket(examples, size=size, rng=np.random.default_rng(seed))
    assert sorted(e.clip for b in batches for e in b) == list(range(len(lengths)))
    assert all(0 < len(b) <= size for b in batches)
    assert batches == bucket(examples, size=size, rng=np.random.default_rng(seed))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=99), st.integers(1, 9))
def test_photos_and_clips_are_kept_apart(examples: list[tuple[bool, int]], size: int) -> None:
    is_photo = [photo for photo, _ in examples]
    given_ = [Example(i, (7,) * n) for i, (_, n) in enumerate(examples)]
    batches = bucket(given_, size=size, rng=np.random.default_rng(0), is_photo=is_photo)
    assert sorted(e.clip for b in batches for e in b) == list(range(len(examples)))
    assert all(len({is_photo[e.clip] for e in b}) == 1 and len(b) <= size for b in batches)


def test_clips_alone_are_in_the_same_order_as_without_photos_to_keep_apart() -> None:
    examples = [Example(i, (7,) * (1 + i % 5)) for i in range(50)]
    apart = bucket(examples, size=4, rng=np.random.default_rng(1), is_photo=[False] * 50)
    assert apart == bucket(examples, size=4, rng=np.random.default_rng(1))


def test_buckets_waste_little() -> None:
    rng = np.random.default_rng(0)
    examples = [Example(0, (7,) * int(n)) for n in rng.integers(3, 24, size=4000)]

    def padded(batches: list[list[Example]]) -> int:
        return sum(len(b) * max(len(e.tokens) for e in b) for b in batches)

    useful = sum(len(e.tokens) for e in examples)
    plain = [examples[i : i + 64] for i in range(0, 4000, 64)]
    assert padded(bucket(examples, size=64, rng=rng)) < 1.05 * useful < 1.5 * useful < padded(plain)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.floats(0, 0.95), st.integers(0, 99))
def test_clips_are_padded_and_some_frames_hidden(frames: list[int], dropout: float, seed: int) -> None:
    like = np.ones((2, 1, 3), np.float16)
    arrays = [np.full((n, 1, 3), i + 1, np.float16) if n else None for i, n in enumerate(frames)]
    clips, mask = collate_clips(arrays, like=like, frame_dropout=dropout, rng=np.random.default_rng(seed))
    assert clips.shape == (len(frames), max(1, *frames), 1, 3)
    for row, n in enumerate(frames):
        assert (clips[row, :n] == row + 1).all() and (clips[row, n:] == 0).all()
        assert not mask[row, n:].any() and (mask[row].any() or n == 0)
        if dropout == 0:
            assert mask[row, :n].all()


@given(st.lists(st.lists(st.integers(4, 9), max_size=6), min_size=1, max_size=5))
def test_captions_are_framed_by_their_ends(tokens: list[list[int]]) -> None:
    inputs, targets = collate_captions(tokens)
    for row, caption in enumerate(tokens):
        n, rest = len(caption), inputs.shape[1] - len(caption) - 1
        assert inputs[row].tolist() == [1, *caption] + [0] * rest
        assert targets[row, : n + 1].tolist() == [*caption, 2] and (targets[row, n + 1 :] == 0).all()
