"""The detector of people."""

from __future__ import annotations

import torch

from captioner.vision.people import PeopleDetector


def test_it_learns_what_tells_people_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = (torch.rand(400, generator=generator) < 0.7).float()
    features = torch.randn(400, 16, generator=generator) * 3 + 5
    features[:, 3] += 6 * shares
    people = PeopleDetector(16)
    people.learn(features, shares)
    clips = features[:, None, None].expand(-1, 2, 3, -1).clone()
    mask = torch.ones(400, 2, dtype=torch.bool)
    found = people(clips, mask)
    assert ((found > 0.5) == shares.bool()).float().mean() > 0.8
    clips[:, 1] = 0
    mask[:, 1] = False
    torch.testing.assert_close(people(clips, mask), found)  # hidden frames say nothing
