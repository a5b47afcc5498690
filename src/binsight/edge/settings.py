"""Everything about an edge device that can be set, checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from binsight.addresses import is_address
from binsight.errors import SettingsError
from binsight.settings import Option, read_toml, section_faults, section_options, setting, suggest

__all__ = ["ENGINES", "EdgeSettings", "edge_options", "read_settings"]

ENGINES: Final = ("auto", "onnx", "onnx-int8", "litert", "litert-int8", "micro")
MODES: Final = ("device", "ask", "server")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MB: Final = 1_000_000
_CAMERA, _MODEL, _SERVER, _STORE = "Camera", "Model", "Server", "Store"
_seconds = partial(setting, low=0.05, high=86_400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """How an edge device works; each field says what it means. The keys of its file are the names of the flags.

    Raises:
        SettingsError: listing every fault.
    """

    name: str = setting("edge1", "What the device is called, in topics and messages.", metavar="NAME")
    site: str = setting("plant", "Where it stands.", metavar="NAME")
    source: str | None = setting(
        None, "rtsp://…, /dev/video0, a video file, http://… (a JPEG), mjpeg http://…, folder:DIR.", group=_CAMERA,
        metavar="SOURCE",
    )  # fmt: skip
    frames_per_second: float = setting(
        2.0, "Pictures that are classified in a second, at most.", low=0.01, high=60.0, group=_CAMERA
    )
    steady_frames: int = setting(
        2, "Pictures in a row that must agree before something new is told.", low=1, high=100, group=_CAMERA
    )
    model: str = setting("waste8-micro", "A bundle, by path or by name from the package.", group=_MODEL,
                         metavar="BUNDLE")  # fmt: skip
    engine: str = setting("auto", "Which of the bundle's networks; auto: the fastest here.", choices=ENGINES,
                          group=_MODEL)  # fmt: skip
    workers: int = setting(1, "Cores for one picture.", low=1, high=64, group=_MODEL)
    mqtt: str | None = setting(
        None, "Broker for results and health: mqtt://HOST, mqtts://HOST.", group=_SERVER, metavar="URL"
    )
    prefix: str | None = setting(
        None, "Of the topics.  [default: binsight/v1/SITE/NAME]", group=_SERVER, metavar="TOPIC"
    )
    username: str | None = setting(None, "For the broker.", group=_SERVER, metavar="NAME")
    password_file: Path | None = setting(None, "Its password, in a file.", group=_SERVER, metavar="FILE")
    webhook: str | None = setting(
        None, "Address that takes results as JSON by POST: https://….", group=_SERVER, metavar="URL"
    )
    server: str | None = setting(
        None, "A `binsight serve` that is asked about what the device is not sure of: https://….", group=_SERVER,
        metavar="URL",
    )  # fmt: skip
    key_file: Path | None = setting(None, "Key for that server, in a file.", group=_SERVER, metavar="FILE")
    mode: str = setting("ask", "Who decides: the device alone; the device, which asks the server below its threshold; "
                        "the server alone.", choices=MODES, group=_SERVER)  # fmt: skip
    heartbeat_s: float = _seconds(10.0, "Seconds between two messages of health.", flag="heartbeat", group=_SERVER)
    store: Path = setting(Path("edge.sqlite"), "Where results wait until they are taken.", group=_STORE, metavar="FILE")
    store_bytes: int = setting(
        64 * _MB, "Its largest size; beyond it the oldest pictures go first, then the oldest results.",
        low=_MB, high=10**12, unit=_MB, flag="store-mb", group=_STORE,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if faults := [*section_faults(self, ""), *self._faults()]:
            raise SettingsError("; ".join(faults))

    @property
    def topics(self) -> str:
        """What all topics begin with, without a slash at its end."""
        return (self.prefix or f"binsight/v1/{self.site}/{self.name}").rstrip("/")

    def _faults(self) -> list[str]:
        faults = [
            f"{key}: expected letters, digits, - and _, at most 64, got {value!r}"
            for key, value in (("name", self.name), ("site", self.site))
            if not _NAME.fullmatch(value)
        ]
        for key, schemes in (
            ("mqtt", ("mqtt", "mqtts")),
            ("webhook", ("http", "https")),
            ("server", ("http", "https")),
        ):
            value = getattr(self, key)
            if value is not None and (not is_address(value, schemes) or "@" in urlsplit(value).netloc):
                faults.append(f"{key}: expected {schemes[0]}://HOST[:PORT] without a name or password, got {value!r}")
        if self.source is None:
            faults.append("source: expected a camera, such as /dev/video0")
        if self.mqtt is None and self.webhook is None:
            faults.append("mqtt, webhook: expected at least one that takes the results")
        if self.mode == "server" and self.server is None:
            faults.append("server: expected an address, since mode is server")
        return faults


def edge_options() -> tuple[Option, ...]:
    """All settings."""
    return section_options(EdgeSettings, "")


def read_settings(path: Path | None, given: Mapping[str, Any]) -> EdgeSettings:
    """The settings of a file, with those given on the command line before them.

    Args:
        path: TOML, with the flags' names as keys; None for none.
        given: name of a field → value; None is left out.

    Raises:
        InputError: the file cannot be read.
        SettingsError: listing every fault.
    """
    known = {option.flag.replace("-", "_"): option for option in edge_options()}
    values: dict[str, Any] = {}
    written = {} if path is None else read_toml(path)
    if unknown := [f"no setting {key}; {suggest(key, known)}" for key in written if key not in known]:
        raise SettingsError(f"{path}: {'; '.join(unknown)}")
    values |= {known[key].name: _from_toml(known[key], value) for key, value in written.items()}
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        return EdgeSettings(**values)
    except SettingsError as error:
        raise error if path is None else SettingsError(f"{path}: {error}") from error


def _from_toml(option: Option, value: Any) -> Any:
    """A value in the type and unit of its setting; unchanged where it has another type."""
    if option.unit > 1 and isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * option.unit)
    return Path(value) if option.kind is Path and isinstance(value, str) else option.normalise(value)
