"""Which names are addresses, and that what is shown of one holds no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from captioner.io.addresses import is_web, protocol, shown

AMAZON = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261130&X-Amz-Date=1&X-Amz-Signature={}"
AZURE = "sv=2024-11-04&se=2026-12-01T00%3A00%3A00Z&sr=b&sp=r&sig={}"
CLOUDFRONT = "Expires={0}&Signature={0}&Key-Pair-Id=K2"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://bucket/a?b#c@d.mp4", "s3://bucket/a?b#c@d.mp4"),  # an object's name may hold anything
        ("abfs://container@account.dfs/a.mp4", "abfs://container@account.dfs/a.mp4"),
        ("https://me:secret@host:8080/a.mp4", "https://host:8080/a.mp4"),
        ("https://token@host/a.mp4#t=1", "https://host/a.mp4"),
        ("ftp://me:se@cret@host/a.mp4", "ftp://host/a.mp4"),
        ("a.mp4", "a.mp4"),
    ],
)
def test_users_and_passwords_are_not_shown(address: str, said: str) -> None:
    assert shown(address) == said


@pytest.mark.parametrize("query", [AMAZON, AZURE, CLOUDFRONT])
def test_a_signature_is_not_shown_and_its_renewal_is_the_same_file(query: str) -> None:
    assert {shown(f"https://host/a.mp4?{query.format(part)}") for part in ("one", "two")} == {"https://host/a.mp4"}


def test_files_that_differ_in_their_query_keep_different_names() -> None:
    names = {shown(f"https://host/watch?v={secret}&{AMAZON.format('x')}") for secret in ("hush", "hash")}
    assert len(names) == 2 and not any("hush" in name or "hash" in name or "X-Amz" in name for name in names)


def test_a_file_of_such_a_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert protocol("S3://b/a.mp4") == "s3" and is_web("https://host/a") and not is_web("s3://host/a")
    assert protocol(r"C:\clips\a.mp4") == protocol("c://a.mp4") == protocol("a.mp4") == ""
    (tmp_path / "s3:" / "b").mkdir(parents=True)
    (tmp_path / "s3:" / "b" / "a.mp4").touch()
    assert protocol("s3://b/a.mp4") == ""
