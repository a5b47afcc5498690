"""The tables of a `line.toml`: what each of them may hold."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from binsight.addresses import is_address
from binsight.line.field import Direction
from binsight.predictor import OnStrange

__all__ = [
    "AlarmSettings",
    "AuditSettings",
    "BeltSettings",
    "CameraSettings",
    "Lane",
    "LedgerSettings",
    "LineSettings",
    "Positive",
    "Shift",
    "SorterKind",
    "SorterSettings",
    "Table",
]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
SorterKind = Literal["mqtt", "modbus-server", "modbus-client", "opcua", "webhook", "csv", "none"]

_SCHEMES: dict[SorterKind, tuple[str, ...]] = {
    "mqtt": ("mqtt://", "mqtts://"),
    "modbus-server": ("tcp://", "modbus://"),
    "modbus-client": ("tcp://", "modbus://"),
    "opcua": ("opc.tcp://",),
    "webhook": ("http://", "https://"),
    "csv": ("",),
    "none": ("",),
}


class Table(BaseModel):
    """One table of the file: unknown keys are faults, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class LineSettings(Table):
    """`[line]`: what it is called, and the model that looks.

    Attributes:
        name: in topics, addresses and the ledger.
        site: the plant it stands in.
        model: a bundle, by path or by name from the package.
        strange: where the camera as a whole is strange to the model, or new: leave every piece to a person, or only
            warn.
    """

    name: Name = "line1"
    site: Name = "plant"
    model: str = "waste8"
    strange: OnStrange = "review"


class CameraSettings(Table):
    """`[camera]`: where pictures come from, and how the belt lies in them.

    Attributes:
        source: rtsp://…, /dev/video0, a video file, http://…/capture, mjpeg http://…, folder:DIR, push, or simulated.
        frames_per_second: how many pictures a second are looked at, at most.
        region: of the picture that shows the belt: left, top, right, bottom in [0, 1].
        direction: where the belt carries pieces in the picture.
        field_mm: how much belt the region shows along the direction.
        trigger: what says that a piece is there: the camera, or something outside (MQTT, Modbus, HTTP).
        trigger_at: how far along the region a piece is decided, from where it comes in (0) to where it leaves (1).
        margin: how much of the belt around a piece the model sees, as a share of its longer side.
        stalled_after_ms: without a new picture for so long, the camera is stalled.
        open_timeout_s: for a camera to answer.
    """

    source: str = "push"
    frames_per_second: Annotated[float, Field(gt=0, le=240, allow_inf_nan=False)] = 20
    region: tuple[Share, Share, Share, Share] = (0.0, 0.0, 1.0, 1.0)
    direction: Direction = "right"
    field_mm: Positive = 600
    trigger: Literal["camera", "external"] = "camera"
    trigger_at: Annotated[float, Field(ge=0.1, le=0.95, allow_inf_nan=False)] = 0.7
    margin: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.12
    stalled_after_ms: Positive = 1000
    open_timeout_s: Positive = 10

    @property
    def view(self) -> dict[str, Any]:
        """How the belt lies in pictures, as `Detector` and `Field.of` take it."""
        return {"region": self.region, "direction": self.direction, "field_mm": self.field_mm}

    @field_validator("region")
    @classmethod
    def _region_is_a_rectangle(cls, region: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, right, bottom = region
        if right - left < 0.05 or bottom - top < 0.05:
            raise ValueError(
                "expected left, top, right, bottom with left < right and top < bottom, at least 0.05 apart"
            )
        return region


class BeltSettings(Table):
    """`[belt]`: how it moves.

    Attributes:
        speed_mm_s: its speed; with an encoder, the fastest it runs: the time budget is made for it.
        encoder: who reports its position: `modbus` or `mqtt`; None: it runs at `speed_mm_s`.
        counts_per_mm: of the encoder.
    """

    speed_mm_s: Positive = 400
    encoder: Literal["modbus", "mqtt"] | None = None
    counts_per_mm: Positive | None = None

    @model_validator(mode="after")
    def _encoder_is_whole(self) -> Self:
        if (self.encoder is None) != (self.counts_per_mm is None):
            raise ValueError('encoder = "mqtt" or "modbus", and counts_per_mm, go together')
        return self


class Lane(Table):
    """`[[lanes]]`: one ejector and what goes there.

    Attributes:
        number: 1 and up; 0 is the belt's end, the fail-safe.
        name: for people.
        categories: class ids that go here.
        streams: or whole streams of the taxonomy.
        distance_mm: from the trigger line to the ejector.
        lead_ms: how long before the piece is there the ejector must fire.
        dwell_ms: how long it stays open.
        purity_target: share of right pieces that this lane should have; an alarm tells when it surely has less.
    """

    number: Annotated[int, Field(ge=1, le=255)]
    name: str = ""
    categories: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    distance_mm: Positive
    lead_ms: NotNegative = 20
    dwell_ms: Annotated[int, Field(ge=1, le=65535)] = 60
    purity_target: Share | None = None

    @model_validator(mode="after")
    def _has_contents(self) -> Self:
        if not self.categories and not self.streams:
            raise ValueError("expected categories or streams that go to this lane")
        return self


class SorterSettings(Table):
    """`[sorter]`: the equipment that ejects.

    Attributes:
        kind: how to talk to it; `none` only looks.
        url: where it is; for `csv`, the file.
        prefix: of the MQTT topics; None stands for `binsight/v1/{site}/{line}`.
        username: for MQTT.
        password_file: for MQTT: a file that holds the password alone.
        device_id: Modbus unit.
        ack_timeout_ms: after this a command without an answer is `unknown`.
        confirm_timeout_ms: after the moment of firing, for the confirmation.
        confirms: whether the equipment says what became of a command.
        scan_ms: the PLC's scan time: a command must be there so long before firing.
        link_p99_ms: how long a command takes to get there, in 99 of 100 cases; measured values raise it.
        heartbeat_s: how often both sides show that they live.
        home_assistant: announce the line to Home Assistant (MQTT only).
    """

    kind: SorterKind = "none"
    url: str = ""
    prefix: str | None = None
    username: str | None = None
    password_file: Path | None = None
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    ack_timeout_ms: Positive = 200
    confirm_timeout_ms: Positive = 2000
    confirms: bool = True
    scan_ms: NotNegative = 10
    link_p99_ms: NotNegative = 20
    heartbeat_s: Positive = 1.0
    home_assistant: bool = True

    @model_validator(mode="after")
    def _address_fits(self) -> Self:
        schemes = _SCHEMES[self.kind]
        if self.kind != "none" and (not self.url or not self.url.startswith(schemes)):
            wanted = " or ".join(scheme + "…" for scheme in schemes) if schemes[0] else "the path of a file"
            raise ValueError(f"kind {self.kind!r}: expected url = {wanted}, got {self.url!r}")
        if schemes[0]:
            _check_address(self.url)
        if self.prefix is not None and any(sign in self.prefix for sign in "#+"):
            raise ValueError(f"prefix: expected a topic without + and #, got {self.prefix!r}")
        return self


class LedgerSettings(Table):
    """`[ledger]`: where the account of every piece is kept.

    Attributes:
        url: SQLAlchemy's: `sqlite:///file` or `postgresql+psycopg://…`; None: beside the configuration.
        keep_days: rows and thumbnails older than this are removed; 0 keeps them for ever.
        thumbnails: keep a small picture of each piece; after a day only of those drawn for the audit.
    """

    url: str | None = None
    keep_days: Annotated[int, Field(ge=0)] = 30
    thumbnails: bool = True

    @field_validator("url")
    @classmethod
    def _is_known(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("sqlite:///", "postgresql+psycopg://", "postgresql://")):
            raise ValueError(f"expected sqlite:///FILE or postgresql+psycopg://…, got {url!r}")
        return url


class AuditSettings(Table):
    """`[audit]`: which pieces a person looks at, drawn at random.

    Attributes:
        accepted_share: of the accepted pieces.
        reviewed_share: of those sent to review.
        non_recyclable_streams: streams of the taxonomy that nobody recycles; reports tell them apart.
    """

    accepted_share: Share = 0.02
    reviewed_share: Share = 0.2
    non_recyclable_streams: tuple[str, ...] = ("landfill",)


class AlarmSettings(Table):
    """`[alarms]`: when to call someone.

    Attributes:
        review_share: more of the last 200 pieces than this went to review.
        late_share: more of the last 200 commands than this were late.
        webhook: address that gets every alarm as JSON by POST.
    """

    review_share: Share = 0.3
    late_share: Share = 0.01
    webhook: str | None = None

    @field_validator("webhook")
    @classmethod
    def _is_an_address(cls, webhook: str | None) -> str | None:
        if webhook is not None and not webhook.startswith(("http://", "https://")):
            raise ValueError(f"expected http://… or https://…, got {webhook!r}")
        return webhook


class Shift(Table):
    """`[[shifts]]`: a name and when it starts; it ends where the next one starts."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    start: dt.time


def _check_address(url: str) -> None:
    if not is_address(url):
        raise ValueError(f"url: expected a host, and a port from 1 to 65535 or none, got {url!r}")
    if "@" in urlsplit(url).netloc:
        raise ValueError("url: expected no name and password in it; MQTT has username and password_file")
