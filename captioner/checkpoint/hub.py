"""Checkpoints on the Hugging Face hub: fetched by name into its own cache, and pushed with a model card.

Only the four files that a checkpoint consists of are ever fetched, none of which is code or a pickle; loading checks
their digests. HF_TOKEN, HF_HUB_OFFLINE, HF_HOME and HF_ENDPOINT mean what they mean to ``huggingface_hub``.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from captioner.errors import CheckpointError, ConfigError, first_line

FILES = ("config.json", "model.safetensors", "tokenizer.json", "vocabulary.json")
PAPERS = ("NOTICE*", "LICENSE*")
_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")


def located(name: str | Path) -> Path:
    """The folder that ``name`` means: one that is there, or ``user/name``, ``user/name@REVISION`` on the hub.

    A revision is a branch, a tag or a commit; what a commit's full hash names never changes. Raises CheckpointError.
    """
    if not str(name).strip():
        raise CheckpointError("the name of the checkpoint is empty; give a folder, or user/name on the hub")
    path = Path(name)
    match = _NAME.fullmatch(str(name))
    if path.exists() or path.parent.is_dir() or match is None:
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    repo, revision = match["repo"], match["revision"]
    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=[*FILES, *PAPERS], endpoint=_endpoint())
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint folder {name}, and none on the Hugging Face hub") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repo} on the Hugging Face hub has no revision {revision}") from error
    except LocalEntryNotFoundError as error:
        why = (
            "HF_HUB_OFFLINE=1 forbids fetching it; unset it"
            if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
            else "the Hugging Face hub cannot be reached; check the connection"
        )
        raise CheckpointError(f"there is no checkpoint folder {name}, and none in the hub's cache: {why}") from error
    except Exception as error:  # a full disk, ...
        raise CheckpointError(
            f"there is no checkpoint folder {name}, and the Hugging Face hub gave none ({first_line(error)})"
        ) from error
    if not (Path(folder) / FILES[0]).is_file():
        raise CheckpointError(f"{repo} on the Hugging Face hub is not a captioner checkpoint: it has no {FILES[0]}")
    return Path(folder)


def find_papers(folder: Path) -> dict[str, bytes]:
    """Notices and licences beside weights, by file name; derived checkpoints must carry them."""
    return {path.name: path.read_bytes() for pattern in PAPERS for path in sorted(folder.glob(pattern))}


def push(
    folder: Path, name: str, *, card: str, private: bool = False, revision: str | None = None, message: str = ""
) -> str:
    """Upload a checkpoint folder with its notices, licences and card in one commit; returns the commit's address.

    A missing repository or branch (``revision``) is created. A README.md in the folder replaces ``card``. Raises
    ConfigError for a malformed name, and CheckpointError if the hub refuses.
    """
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        raise ConfigError(f"{name!r} is not a name on the Hugging Face hub; it must look like user/name")
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=_endpoint())
    own = folder / "README.md"
    files: dict[str, Any] = {file: folder / file for file in FILES if (folder / file).is_file()}
    files |= find_papers(folder)
    files["README.md"] = own if own.is_file() else card.encode()
    operations = [CommitOperationAdd(path_in_repo=file, path_or_fileobj=content) for file, content in files.items()]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        if revision:
            api.create_branch(name, branch=revision, exist_ok=True)
        done = api.create_commit(
            name, operations, commit_message=message or "Upload a captioner checkpoint", revision=revision
        )
    except Exception as error:  # no network, no right, ...
        status = getattr(getattr(error, "response", None), "status_code", None)
        token = "; set HF_TOKEN to a token that may write, or log in with `hf auth login`"
        denied = status in (401, 403) or type(error).__name__ == "LocalTokenNotFoundError"
        raise CheckpointError(f"cannot push to {name}: {first_line(error)}{token * denied}") from error
    return str(done.commit_url)


def make_card(name: str, summary: dict[str, Any], *, license: str = "") -> str:
    """A model card (README.md with its metadata) from what ``captioner info`` tells."""
    task = str(summary.get("task", "captions"))
    command = {"captions": "caption", "actions": "actions"}.get(task, "anomalies score")
    tags = {"captions": "video-captioning", "actions": "video-classification"}.get(task, "anomaly-detection")
    facts = json.dumps({key: value for key, value in summary.items() if key != "folder"}, indent=1)
    licence = f"license: {license}\n" if license else ""
    return f"""---
library_name: captioner
tags: [captioner, {tags}]
{licence}---
# {name.partition("/")[2]}

A checkpoint of captioner for {task}: a CNN encodes frames, a GRU reads the features.

    captioner {command} -m {name} clip.mp4

What it is and was trained on, as `captioner info --json` tells it:

```json
{facts}
```
"""


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None
