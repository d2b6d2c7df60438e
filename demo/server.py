"""The server around the page: health, headers, limits, and what a public one needs."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from captioner import __version__
from captioner.io.signals import terminable
from demo.limits import Limits
from demo.theme import colours, theme

ASSETS = Path(__file__).parent / "assets"

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # gradio's own page needs all three
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    )
)
"""Browsers refuse whatever the page might still ask of another machine."""

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Where and how to serve; safe by default."""

    host: str = "127.0.0.1"
    port: int | None = None
    """None: the first free one from 7860."""
    root_path: str | None = None
    """The path under which a proxy shows the demo."""
    share: bool = False
    """A public link through gradio's own servers."""
    auth: tuple[tuple[str, str], ...] = ()
    """Names and passwords; empty: everybody."""
    mcp: bool = True
    """Offer the endpoints as tools too, where gradio[mcp] is installed."""


class Headers:
    """ASGI middleware: the security headers on every answer."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def has_mcp() -> bool:
    """Whether what ``gradio[mcp]`` brings is installed: version 1 of the MCP library; gradio cannot use version 2."""
    try:
        return importlib.metadata.version("mcp").startswith("1.")
    except importlib.metadata.PackageNotFoundError:
        return False


def serve(page: gr.Blocks, *, options: ServerOptions, limits: Limits, model: str, block: bool = True) -> str:
    """Start the server and return its address; waits until it is stopped if ``block``. ``model`` is for /health."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": __version__, "model": model})

    _, address, _ = page.launch(
        server_name=options.host,
        server_port=options.port,
        root_path=options.root_path,
        share=options.share,
        auth=list(options.auth) or None,
        mcp_server=options.mcp and has_mcp(),
        max_file_size=f"{limits.upload_megabytes}mb",
        max_threads=4 * limits.waiting,  # whoever waits holds a thread
        app_kwargs={
            "routes": [Route("/health", health)],
            "middleware": [Middleware(Headers)],
            "docs_url": None,
            "redoc_url": None,
        },
        theme=theme(),
        css=colours() + (ASSETS / "page.css").read_text(encoding="utf-8"),
        head=f"<script>{(ASSETS / 'page.js').read_text(encoding='utf-8')}</script>",
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        show_error=False,
        quiet=True,
        prevent_thread_lock=True,
        _frontend=False,  # else it asks itself for its page, and will not start where that takes three seconds
    )
    if page.mcp_error:
        print(f"captioner: no tools for language models: {page.mcp_error}", file=sys.stderr)
    if block:
        print(f"captioner: {address} (Ctrl-C stops it)", flush=True)
        with terminable():  # docker stop: clean up as for Ctrl-C
            try:
                page.block_thread()
            finally:
                page.close(verbose=False)  # deletes the uploads
    return str(address)
