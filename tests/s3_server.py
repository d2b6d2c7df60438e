"""A real S3 server on 127.0.0.1, in a process of its own: moto, in memory (``python -m tests.s3_server``)."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECRET = "wJalrXUtnFEMI-secret"


@dataclass(frozen=True)
class S3:
    """A server that runs, and a client for it."""

    address: str
    client: Any

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to use it."""
        return environment(self.address)

    def fill(self, bucket: str, files: dict[str, bytes | Path]) -> None:
        """A new bucket with these objects in it."""
        self.client.create_bucket(Bucket=bucket)
        for key, content in files.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            self.client.put_object(Bucket=bucket, Key=key, Body=data)


def environment(address: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_server() -> Iterator[S3]:
    """One that runs until the block ends."""
    import boto3

    process = subprocess.Popen(
        [sys.executable, "-m", "tests.s3_server"], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        values = environment(address)
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=SECRET,
        )
        yield S3(address, client)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "x")
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
