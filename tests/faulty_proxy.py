"""A proxy that stands before a real server and does to some answers what networks do: refuse, cut off, delay."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>'
)


@dataclass
class Fault:
    """What is done to the answers of requests whose ``METHOD /path`` matches, so often (None: always)."""

    where: str
    status: int = 0
    """Answer with this status in place of the server's."""
    cut: bool = False
    """Break off in the middle of the content."""
    silent_seconds: float = 0.0
    """Wait before the content."""
    before: Callable[[], object] | None = None
    """Called before the content is sent."""
    times: int | None = None


@dataclass
class Proxy:
    """One that runs; its faults may be changed at any time."""

    address: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, request: str) -> Fault | None:
        with self.turn:
            self.asked.append(request)
            for fault in self.faults:
                if re.search(fault.where, request) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    server_address: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _pass(self) -> None:
        fault = self.proxy.fault(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault and fault.status:
            self.send_response(fault.status)
            self.send_header("Content-Length", str(len(SLOW_DOWN)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else SLOW_DOWN)
            return
        if fault and fault.before:
            fault.before()
        upstream = HTTPConnection(self.server_address, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers.items()))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        self.send_response(answer.status)
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else str(len(content))
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault and fault.silent_seconds:
            time.sleep(fault.silent_seconds)
        self.wfile.write(content[: len(content) // 2] if fault and fault.cut else content)
        self.close_connection = bool(fault and fault.cut)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy on 127.0.0.1 before the server at ``upstream``, until the block ends."""
    handler = type("Handler", (_Handler,), {"server_address": urlparse(upstream).netloc})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.proxy = Proxy(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield handler.proxy  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
