"""Everything about a server that can be set, checked once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from binsight.errors import BinsightError
from binsight.serving.security import ApiKey

__all__ = ["Settings", "SettingsError", "split_model"]

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SettingsError(BinsightError, ValueError):
    """A server's settings are contradictory or out of range."""

    code: ClassVar[str] = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server behaves. Sizes are in bytes, times in seconds.

    Attributes:
        models: bundles to serve, each a path, the name of one in the package, or `NAME=PATH`, under another name; the
            first answers where no model is asked for.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        workers: photos in work at a time; 0 means one more than there are cores.
        max_batch: photos that share one run of the network, at most.
        queue_size: photos that may wait; what comes on top is refused at once.
        deadline_s: how long a photo may wait before its answer is given up.
        max_photo_bytes: the largest encoded photo.
        max_pixels: the largest photo, width times height.
        max_body_bytes: the largest request.
        max_files: photos in one request.
        max_pending_bytes: of all requests together that are being received or wait.
        header_timeout_s: for a request's line and headers to arrive.
        body_timeout_s: for its body to arrive after that.
        idle_timeout_s: how long a connection may lie idle between two requests.
        max_connections: open at a time; more are closed at once.
        drain_timeout_s: after SIGTERM, for what is queued to be finished.
        api_keys: who may classify; empty means everyone.
        admin_keys: who may reload models; empty turns the admin calls off.
        cors_origins: web origins whose pages may call the API; `*` means all.
        rate_limit: requests per second and client; 0 means no limit.
        rate_burst: requests a client may make at once before the rate counts.
        trusted_proxies: reverse proxies in front whose `X-Forwarded-*` headers are believed.
        tls_certificate: PEM file with the certificate chain; turns TLS on, together with `tls_key`.
        tls_key: PEM file with its private key.
        access_log: write one JSON line per request.
        feedback_dir: where corrections are stored; None turns them off.
        feedback_max_bytes: the most that stored corrections may take.

    Raises:
        SettingsError: listing every fault.
    """

    models: tuple[str, ...] = ("waste8",)
    host: str = "127.0.0.1"
    port: int = 9696
    workers: int = 0
    max_batch: int = 1
    queue_size: int = 128
    deadline_s: float = 5.0
    max_photo_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_body_bytes: int = 64_000_000
    max_files: int = 32
    max_pending_bytes: int = 256_000_000
    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    idle_timeout_s: float = 30.0
    max_connections: int = 512
    drain_timeout_s: float = 30.0
    api_keys: tuple[ApiKey, ...] = ()
    admin_keys: tuple[ApiKey, ...] = ()
    cors_origins: tuple[str, ...] = ()
    rate_limit: float = 0.0
    rate_burst: int = 20
    trusted_proxies: int = 0
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    access_log: bool = True
    feedback_dir: Path | None = None
    feedback_max_bytes: int = 1_000_000_000

    def __post_init__(self) -> None:
        if faults := [*_range_faults(self), *_relation_faults(self), *_model_faults(self), *_origin_faults(self)]:
            raise SettingsError("settings: " + "; ".join(faults))


_AT_LEAST = {
    "port": 0,
    "workers": 0,
    "max_batch": 1,
    "queue_size": 1,
    "max_photo_bytes": 1,
    "max_pixels": 1,
    "max_files": 1,
    "max_connections": 1,
    "rate_limit": 0,
    "rate_burst": 1,
    "trusted_proxies": 0,
    "feedback_max_bytes": 1,
}
_POSITIVE = ("deadline_s", "header_timeout_s", "body_timeout_s", "idle_timeout_s", "drain_timeout_s")


def _range_faults(settings: Settings) -> list[str]:
    faults = [
        f"{key} must be at least {least}, got {getattr(settings, key)}"
        for key, least in _AT_LEAST.items()
        if getattr(settings, key) < least
    ]
    faults += [
        f"{key} must be above 0, got {getattr(settings, key)}" for key in _POSITIVE if getattr(settings, key) <= 0
    ]
    return faults + ([f"port must be at most 65535, got {settings.port}"] if settings.port > 65535 else [])


def _relation_faults(settings: Settings) -> list[str]:
    faults = []
    if settings.max_body_bytes < settings.max_photo_bytes:
        faults.append("max_body_bytes must be at least max_photo_bytes")
    if settings.max_pending_bytes < settings.max_body_bytes:
        faults.append("max_pending_bytes must be at least max_body_bytes")
    if settings.queue_size < settings.max_files:
        faults.append("queue_size must be at least max_files, or a full request could never be accepted")
    if (settings.tls_certificate is None) is not (settings.tls_key is None):
        faults.append("tls_certificate and tls_key must be given together")
    return faults


def split_model(spec: str) -> tuple[str | None, str]:
    """Name and place of a model given as `[NAME=]PLACE`; a file or folder called so, sign and all, is a place."""
    name, sign, place = spec.partition("=")
    return (name, place) if sign and not os.path.lexists(spec) else (None, spec)


def _model_faults(settings: Settings) -> list[str]:
    if not settings.models:
        return ["models: expected at least one"]
    aliases = [name for name, _ in map(split_model, settings.models) if name is not None]
    faults = [f"models: {name!r} is not a plain name" for name in aliases if not _MODEL_NAME.fullmatch(name)]
    if twice := sorted({name for name in aliases if aliases.count(name) > 1}):
        faults.append(f"models: given twice: {', '.join(twice)}")
    return faults


def _origin_faults(settings: Settings) -> list[str]:
    return [
        f"cors_origins: expected scheme://host[:port] or *, got {origin!r}"
        for origin in settings.cors_origins
        if origin != "*" and not _is_origin(origin)
    ]


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme in {"http", "https"} and parts.netloc and text == f"{parts.scheme}://{parts.netloc}")
