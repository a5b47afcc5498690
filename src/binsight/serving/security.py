"""Who may call, how often, and from which web pages."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = [
    "ApiKey",
    "RateLimiter",
    "client_network",
    "cors_headers",
    "find_key",
    "is_own_page",
    "new_key",
    "presented_key",
]

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([0-9a-f]{64})")
_KEY_BYTES = 32
_WITH_PORT = re.compile(r"([0-9.]+):\d+|\[([^]]*)\](?::\d+)?")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the server knows it: whose it is, and its SHA-256; never the key.

    A plain hash is enough because keys are 256 random bits, which cannot be guessed however fast the hash is.
    """

    name: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> ApiKey:
        """Read `name:sha256`, as `new_key` makes it.

        Raises:
            ValueError: not of that form. The message does not repeat the line, which may hold a secret.
        """
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError("expected name:sha256 with 64 lower-case hex digits, as `binsight serve --new-key` prints")
        return cls(match[1], match[2])


def new_key(name: str) -> tuple[str, ApiKey]:
    """A fresh random key for `name`, and what the server stores of it."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    return key, ApiKey.parse(f"{name}:{_digest(key)}")


def find_key(presented: str, keys: Iterable[ApiKey]) -> str | None:
    """The name that belongs to a presented key, or None; takes equally long whichever key it is."""
    digest = _digest(presented)
    found = None
    for key in keys:
        if hmac.compare_digest(digest, key.sha256):
            found = key.name
    return found


def presented_key(authorization: str, x_api_key: str) -> str:
    """The key in the headers `Authorization: Bearer …` or `X-API-Key`; empty when there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else x_api_key


def client_network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 an IPv6 address is in, which one customer owns.

    A socket that takes both shows IPv4 clients as `::ffff:192.0.2.1`, and all of a network's link-local addresses are
    in one /64: each of those counts for itself. A port behind the address, as some proxies forward it, does not count.
    """
    match = _WITH_PORT.fullmatch(address)
    try:
        parsed = ipaddress.ip_address(match[1] or match[2] if match else address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and not parsed.is_link_local:
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_own_page(site: str | None, origin: str | None, host: str, allowed: Iterable[str]) -> bool:
    """Whether a call that changes something may come from where it does: this server's page, or one of `allowed`.

    Args:
        site: the header `Sec-Fetch-Site`, which a browser sets over HTTPS and on this machine, and no page can forge;
            unlike `Host` it passes every proxy unchanged.
        origin: the header `Origin`, compared with `host` where there is no `Sec-Fetch-Site`. Without both it is no
            browser that calls.
        host: the header `Host`, or what a trusted proxy forwarded for it.
        allowed: origins of other pages.

    References:
        https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    """
    if origin is not None and origin in allowed:
        return True
    if site is not None:
        return site in {"same-origin", "none"}
    return origin is None or origin.lower() in {f"{scheme}://{host}".lower() for scheme in ("http", "https")}


class RateLimiter:
    """A token bucket for each client; the clients longest unseen are forgotten first.

    Args:
        rate: tokens a second, above 0.
        burst: tokens in a full bucket.
        max_clients: how many are remembered.
        clock: seconds that only ever increase.
    """

    def __init__(
        self, rate: float, burst: int, *, max_clients: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._max_clients, self._clock = rate, float(burst), max_clients, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, client: str) -> float:
        """Take a token for `client`: 0 when there was one, else the seconds until there will be."""
        with self._lock:
            now = self._clock()
            tokens, seen = self._buckets.pop(client, (self._burst, now))
            tokens = min(self._burst, tokens + (now - seen) * self._rate)
            granted = tokens >= 1
            self._buckets[client] = (tokens - 1 if granted else tokens, now)
            if len(self._buckets) > self._max_clients:
                self._buckets.popitem(last=False)
            return 0.0 if granted else (1 - tokens) / self._rate


def cors_headers(origin: str | None, allowed: Iterable[str], *, preflight: bool) -> dict[str, str]:
    """The headers that let a page of `origin` read the answer; none of them when it may not."""
    allowed = tuple(allowed)
    if not allowed:
        return {}
    if origin is None or (origin not in allowed and "*" not in allowed):
        return {"Vary": "Origin"}
    headers = {
        "Access-Control-Allow-Origin": "*" if "*" in allowed else origin,
        "Access-Control-Expose-Headers": "X-Request-ID, Retry-After, X-Binsight-Camera",
        "Vary": "Origin",
    }
    if preflight:
        headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE, OPTIONS"
        headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, X-API-Key, X-Binsight-Camera, X-Binsight-Keep, X-Request-ID"
        )
        headers["Access-Control-Max-Age"] = "600"
    return headers


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
