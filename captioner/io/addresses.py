"""Addresses of objects in stores and on web servers: which names are addresses, and how they are shown to people.

An address may hold secrets: ``user:password@``, or a signature in its query. What is shown, written to a journal or
logged has neither, and stays the same when a signature is renewed.
"""

from __future__ import annotations

import hashlib
import os
import re
from urllib.parse import parse_qsl, urlencode

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+-]+)://")
_WEB = ("http", "https")
_SIGNED = re.compile(
    r"(x-(amz|goog|oss|cos)-.*|(google)?accessid|(aws|oss)accesskeyid|key-pair-id|policy|signature|expires"
    r"|sig|se|sp|sv|sr|st|spr|sip|ss|srt|sks?e?|skt|skoid|sktid|skv)",
    re.IGNORECASE,
)
"""The parameters that sign an address for Amazon, Google, CloudFront, Alibaba and Azure."""


def protocol(name: str) -> str:
    """The protocol of an address, such as ``s3``; empty for the name of a file."""
    found = _SCHEME.match(name)
    return found.group(1).lower() if found and not os.path.lexists(name) else ""


def is_web(name: str) -> bool:
    """Whether an address is of a web server, which names single files and lists none."""
    return protocol(name) in _WEB


def shown(address: str) -> str:
    """An address as people may see it: without user and password, and a digest in place of a web address's query."""
    found = _SCHEME.match(address)
    if found is None:
        return address
    scheme, rest = found.group(0), address[found.end() :]
    host, slash, path = rest.partition("/")
    user, at, server = host.rpartition("@")
    if at and (":" in user or found.group(1).lower() in _WEB):
        host = server
    if found.group(1).lower() in _WEB:
        path, _, query = path.partition("#")[0].partition("?")
        named = [pair for pair in parse_qsl(query, keep_blank_values=True) if not _SIGNED.fullmatch(pair[0])]
        if named:
            path += "?" + hashlib.sha256(urlencode(named).encode()).hexdigest()[:12]
    said = f"{scheme}{host}{slash}{path}"
    return address if said == address else said  # of a hundred thousand, each is held once
