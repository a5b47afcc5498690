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

__all__ = ["ApiKey", "RateLimiter", "client_network", "cors_headers", "find_key", "new_key", "presented_key"]

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([0-9a-f]{64})")
_KEY_BYTES = 32


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
    """What counts as one client: an IPv4 address, or the /64 an IPv6 address is in, which one customer owns."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


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
        "Access-Control-Expose-Headers": "X-Request-ID, Retry-After",
        "Vary": "Origin",
    }
    if preflight:
        headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, X-API-Key, X-Request-ID"
        headers["Access-Control-Max-Age"] = "600"
    return headers


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
