"""Everything about a server that can be set, checked once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from binsight.errors import SettingsError
from binsight.loop.sampling import Quotas, parse_quota
from binsight.predictor import OnStrange
from binsight.serving.security import ApiKey
from binsight.settings import Option, section_options, setting

__all__ = ["Settings", "server_options", "split_model"]

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MB = 1_000_000
_seconds = partial(setting, low=0.001, high=86_400.0)
_millions = partial(setting, low=1, high=10**12, unit=_MB)
_LEAST_RATE = 0.001
_SHIPPED = ("waste8",)

_MODELS, _LISTENING, _WORK, _LIMITS, _ACCESS = "Models", "Listening", "Work", "Limits", "Access"
_CORRECTIONS, _TEACHING, _LOOP = "Corrections", "Teaching", "Closed loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server behaves. Sizes are in bytes, times in seconds; each field says what it means.

    From here come the flags of `binsight serve`, the variables `BINSIGHT_…` and the keys of its file.

    Raises:
        SettingsError: listing every fault.
    """

    models: tuple[str, ...] = setting(
        _SHIPPED, "A bundle to serve, by path or by name from the package; may be repeated, the first answers where "
        "none is asked for.", flag="model", group=_MODELS, metavar="[NAME=]BUNDLE",
    )  # fmt: skip
    registry_dir: Path | None = setting(
        None, "Serve the champion of this registry, whose promotions and rollbacks stay.", flag="registry",
        group=_MODELS, metavar="DIR",
    )  # fmt: skip
    precision: str = setting(
        "auto", "float, int8, or the faster of both by a test at the start, where a model has model.int8.onnx.",
        choices=("auto", "float", "int8"), group=_MODELS,
    )  # fmt: skip
    strange: OnStrange = setting(
        "review",
        "Where a client's photos as a whole are unlike what a model knows, or its camera is new: review all, or warn.",
        group=_MODELS,
    )  # fmt: skip
    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 or :: lets other machines in.", group=_LISTENING)
    port: int = setting(9696, "Port to listen on; 0 takes a free one.", low=0, high=65_535, group=_LISTENING)
    tls_certificate: Path | None = setting(
        None, "PEM file with the certificate chain; turns TLS on.", group=_LISTENING, metavar="FILE"
    )
    tls_key: Path | None = setting(
        None, "PEM file with the certificate's private key.", group=_LISTENING, metavar="FILE"
    )
    workers: int = setting(
        0, "Photos in work at a time, each on a core; 0: one more than cores.", low=0, high=1024, group=_WORK
    )
    queue_size: int = setting(
        128, "Photos that may wait; what comes on top is refused at once.", low=1, high=100_000, flag="queue",
        group=_WORK,
    )  # fmt: skip
    deadline_s: float = _seconds(5.0, "Seconds that a photo may wait.", flag="deadline", group=_WORK)
    drain_timeout_s: float = _seconds(
        30.0, "Seconds to finish what was received, after SIGTERM.", flag="drain-timeout", group=_WORK
    )
    max_photo_bytes: int = _millions(20 * _MB, "The largest photo's file.", flag="max-photo-mb", group=_LIMITS)
    max_pixels: int = _millions(
        65 * _MB, "The largest photo, width times height.", flag="max-megapixels", group=_LIMITS
    )
    max_body_bytes: int = _millions(64 * _MB, "The largest request.", flag="max-body-mb", group=_LIMITS)
    max_files: int = setting(32, "Photos in one request.", low=1, high=100_000, group=_LIMITS)
    max_pending_bytes: int = _millions(
        256 * _MB, "All requests together that are being received or wait.", flag="max-pending-mb", group=_LIMITS
    )
    max_connections: int = setting(
        4096, "Connections open at a time; more are closed at once.", low=1, high=1_000_000, group=_LIMITS
    )
    header_timeout_s: float = _seconds(
        10.0, "Seconds for a request's line and headers.", flag="header-timeout", group=_LIMITS
    )
    body_timeout_s: float = _seconds(60.0, "Seconds for its body after that.", flag="body-timeout", group=_LIMITS)
    idle_timeout_s: float = _seconds(
        30.0, "Seconds that a connection may lie idle between two requests.", flag="idle-timeout", group=_LIMITS
    )
    api_keys: tuple[ApiKey, ...] = setting(
        (), "Who may classify: one name:sha256 per line, as --new-key prints; without it everyone.", group=_ACCESS,
        metavar="FILE",
    )  # fmt: skip
    admin_keys: tuple[ApiKey, ...] = setting(
        (), "Who may reload and teach models; without it nobody can.", group=_ACCESS, metavar="FILE"
    )
    cors_origins: tuple[str, ...] = setting(
        (), "A web origin whose pages may call the API, such as https://example.org, or *; may be repeated.",
        flag="cors-origin", group=_ACCESS, metavar="ORIGIN",
    )  # fmt: skip
    rate_limit: float = setting(
        0.0, "Requests a second and client, from 0.001; 0: no limit.", low=0, high=1e6, group=_ACCESS
    )
    rate_burst: int = setting(20, "Requests at once before the rate counts.", low=1, high=1_000_000, group=_ACCESS)
    trusted_proxies: int = setting(
        0, "Reverse proxies in front whose X-Forwarded-* headers are believed.", low=0, high=100, group=_ACCESS
    )
    access_log: bool = setting(True, "One JSON line per request on standard error.", group=_ACCESS)
    feedback_dir: Path | None = setting(
        None, "Store corrections and their photos here.", flag="feedback", group=_CORRECTIONS, metavar="DIR"
    )
    feedback_max_bytes: int = setting(
        1000 * _MB, "The most that they may take.", unit=_MB, low=1, high=10**15, flag="feedback-max-mb",
        group=_CORRECTIONS,
    )  # fmt: skip
    teach_dir: Path | None = setting(
        None, "Let operators teach models their camera at /teach; photos and bundles are kept here. Needs admin keys.",
        flag="teach", group=_TEACHING, metavar="DIR",
    )  # fmt: skip
    teach_max_bytes: int = setting(
        2000 * _MB, "The most that the photos may take.", unit=_MB, low=1, high=10**15, flag="teach-max-mb",
        group=_TEACHING,
    )  # fmt: skip

    loop_dir: Path | None = setting(
        None, "Keep some photos here for people to label; the page and the answers say so.", flag="loop", group=_LOOP,
        metavar="DIR",
    )  # fmt: skip
    keep_random: str = setting("100/week", "How many photos to keep at random.", group=_LOOP, metavar="N/week")
    keep_review: str = setting("100/day", "How many of those sent to review.", group=_LOOP, metavar="N/day")
    keep_days: int = setting(
        30, "Days after which a photo that nobody has labelled is deleted.", low=1, high=3650, group=_LOOP
    )
    label_keys: tuple[ApiKey, ...] = setting(
        (), "Who may label at /label: one name:sha256 per line, as --new-key prints.", group=_LOOP, metavar="FILE"
    )

    @property
    def quotas(self) -> Quotas:
        """How many photos to keep."""
        return Quotas(parse_quota(self.keep_random, "week"), parse_quota(self.keep_review, "day"), self.keep_days)

    @property
    def unregistered(self) -> tuple[str, ...]:
        """The bundles to serve beside the registry's champion; without a registry the package's by default."""
        return () if self.registry_dir is not None and self.models == _SHIPPED else self.models

    def __post_init__(self) -> None:
        if faults := [
            *_value_faults(self),
            *_relation_faults(self),
            *_folder_faults(self),
            *_model_faults(self),
            *_origin_faults(self),
        ]:
            raise SettingsError("settings: " + "; ".join(faults))


def server_options() -> tuple[Option, ...]:
    """Every setting, in the order of the help."""
    return section_options(Settings, "")


def _value_faults(settings: Settings) -> list[str]:
    faults = []
    for option in server_options():
        if fault := option.check(getattr(settings, option.name)):
            flag = "" if option.flag == option.name.replace("_", "-") else f" (--{option.flag})"
            faults.append(fault.replace(option.name, option.name + flag, 1))
    return faults


def _relation_faults(settings: Settings) -> list[str]:
    faults = []
    if settings.max_body_bytes < settings.max_photo_bytes:
        faults.append("max_body_bytes must be at least max_photo_bytes")
    if settings.max_pending_bytes < settings.max_body_bytes:
        faults.append("max_pending_bytes must be at least max_body_bytes")
    if settings.queue_size < settings.max_files:
        faults.append("queue_size must be at least max_files, or a full request could never be accepted")
    if 0 < settings.rate_limit < _LEAST_RATE:
        faults.append(f"rate_limit must be 0 for none, or at least {_LEAST_RATE}, got {settings.rate_limit:g}")
    if (settings.tls_certificate is None) is not (settings.tls_key is None):
        faults.append("tls_certificate and tls_key must be given together")
    return faults


def _folder_faults(settings: Settings) -> list[str]:
    """What is wrong with what is kept where."""
    faults = []
    if settings.loop_dir is not None and settings.feedback_dir is not None:
        faults.append(
            "--loop takes corrections as claims that people check, --feedback believes them; give one of the two "
            "(docs/loop.md)"
        )
    if settings.label_keys and settings.loop_dir is None:
        faults.append("label_keys need --loop, where the photos to label are kept")
    for name, per in (("keep_random", "week"), ("keep_review", "day")):
        try:
            parse_quota(getattr(settings, name), per)
        except ValueError:
            faults.append(f"{name}: expected a number such as 100/{per}, got {getattr(settings, name)!r}")
    if settings.teach_dir is not None and settings.registry_dir is not None:
        faults.append(
            "a lesson (--teach) puts its bundle in place at once, a registry (--registry) only what is proven; give "
            "one of the two, or teach elsewhere and `binsight registry add` what comes of it (docs/loop.md)"
        )
    if settings.teach_dir is not None and not settings.admin_keys:
        faults.append("teach_dir (--teach) needs admin_keys (--admin-keys): who teaches a model changes what all get")
    return faults


def split_model(spec: str) -> tuple[str | None, str]:
    """Name and place of a model given as `[NAME=]PLACE`; a file or folder called so, sign and all, is a place."""
    name, sign, place = spec.partition("=")
    return (name, place) if sign and not os.path.lexists(spec) else (None, spec)


def _model_faults(settings: Settings) -> list[str]:
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
