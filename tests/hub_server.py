"""A local stand-in of the Hugging Face hub's HTTP interface: models alone, in memory, with branches and commits."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse


@dataclass
class Hub:
    """What it holds, and every request that it got."""

    address: str = ""
    token: str = "secret"
    repos: dict[str, dict[str, str]] = field(default_factory=dict)
    """By name: each branch's commit."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By hash: path to content."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256, before their commit."""
    asked: list[str] = field(default_factory=list)

    def commit(self, repo: str, branch: str, changes: dict[str, bytes]) -> str:
        """Add files to a branch; returns the new commit's hash."""
        before = self.repos.setdefault(repo, {}).get(branch, "")
        files = self.commits.get(before, {}) | changes
        digest = hashlib.sha1(repr((before, sorted(files.items()))).encode()).hexdigest()
        self.commits[digest] = files
        self.repos[repo][branch] = digest
        return digest

    def find(self, repo: str, revision: str) -> str | None:
        """The commit of a branch or hash."""
        branches = self.repos.get(repo, {})
        return branches.get(revision) or (revision if revision in self.commits else None)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def _get(self) -> None:
        parts = self._parts()
        if parts[:2] == ["api", "models"]:
            repo, rest = "/".join(parts[2:4]), parts[4:]
            revision = rest[1] if rest[:1] in (["revision"], ["tree"]) else "main"
            commit = self._found(repo, revision)
            if commit is None:
                return
            files = self.hub.commits[commit]
            if rest[:1] == ["tree"]:
                tree = [
                    {"type": "file", "path": path, "size": len(data), "oid": _oid(data)} for path, data in files.items()
                ]
                return self._json(tree)
            siblings = [{"rfilename": path, "size": len(data)} for path, data in sorted(files.items())]
            return self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "private": False})
        repo, revision, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        commit = self._found(repo, revision)
        if commit is None:
            return
        data = self.hub.commits[commit].get(path)
        if data is None:
            return self._error(404, "EntryNotFound")
        self._send(200, data, {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "none"})

    def do_POST(self) -> None:
        parts, body = self._parts(), self._body()
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._error(401, "", "Invalid credentials in Authorization header")
        if parts == ["api", "validate-yaml"]:  # of a model card
            return self._json({"errors": [], "warnings": []})
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            if name in self.hub.repos:
                return self._json({"url": f"{self.hub.address}/{name}"}, 409)
            self.hub.commit(name, "main", {".gitattributes": b""})
            return self._json({"url": f"{self.hub.address}/{name}"})
        if parts[-4:] == ["info", "lfs", "objects", "batch"]:
            objects = [
                {**o, "actions": {"upload": {"href": f"{self.hub.address}/upload/{o['oid']}", "header": {}}}}
                for o in json.loads(body)["objects"]
            ]
            return self._json({"transfer": "basic", "objects": objects}, kind="application/vnd.git-lfs+json")
        repo, action, revision = "/".join(parts[2:4]), parts[4], parts[5]
        if action == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"}
                for f in json.loads(body)["files"]
            ]
            return self._json({"files": [{**f, "shouldIgnore": False, "oid": None} for f in files]})
        if action == "branch":
            self.hub.repos[repo].setdefault(revision, self.hub.repos[repo]["main"])
            return self._json({})
        assert action == "commit", parts
        changes = {}
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                changes[value["path"]] = self.hub.blobs[value["oid"]]
        commit = self.hub.commit(repo, revision, changes)
        url = f"{self.hub.address}/{repo}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def do_PUT(self) -> None:
        self.hub.blobs[self._parts()[-1]] = self._body()
        self._send(200, b"", {"ETag": '"x"'})

    def _parts(self) -> list[str]:
        self.hub.asked.append(f"{self.command} {self.path}")
        return [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _found(self, repo: str, revision: str) -> str | None:
        if repo not in self.hub.repos:
            self._error(404, "RepoNotFound")
            return None
        commit = self.hub.find(repo, revision)
        if commit is None:
            self._error(404, "RevisionNotFound")
        return commit

    def _json(self, value: Any, code: int = 200, *, kind: str = "application/json") -> None:
        self._send(code, json.dumps(value).encode(), {"Content-Type": kind})

    def _error(self, code: int, name: str, message: str = "") -> None:
        self._send(code, b"{}", {"X-Error-Code": name, "X-Error-Message": message or name})

    def _send(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """A running stand-in."""
    held = Hub()
    handler = type("Handler", (_Handler,), {"hub": held})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    held.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
