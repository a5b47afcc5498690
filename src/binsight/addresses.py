"""Addresses of other machines: whether one can be connected to, and a connection to it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

__all__ = ["is_address", "open_http", "request_target"]


def is_address(text: str, schemes: Collection[str] = ()) -> bool:
    """Whether `text` has a host, a port that there is or none, and one of the `schemes`, any where none are given."""
    try:
        address = urlsplit(text)
        is_whole = bool(address.hostname) and address.port != 0  # reading the port checks it
    except ValueError:
        return False
    return is_whole and (not schemes or address.scheme in schemes)


def open_http(url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to the server of an address, made with the first request; HTTPS checks the certificate."""
    host = url.hostname or ""
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, url.port, timeout=timeout_s)


def request_target(url: SplitResult, below: str = "") -> str:
    """What a request asks the server of an address for: its path, or one below it, and its query."""
    path = url.path.rstrip("/") + below if below else url.path
    return (path or "/") + (f"?{url.query}" if url.query else "")
