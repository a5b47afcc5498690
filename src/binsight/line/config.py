"""`line.toml`: everything about a line that can be set, checked once, with all faults at once."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from binsight.errors import SettingsError
from binsight.line.settings import (
    AlarmSettings,
    AuditSettings,
    BeltSettings,
    CameraSettings,
    Lane,
    LedgerSettings,
    LineSettings,
    Positive,
    Shift,
    SorterSettings,
    Table,
)
from binsight.settings import read_toml, suggest
from binsight.taxonomy import Taxonomy

__all__ = ["LineConfig", "load_line_config", "parse_line_config"]

_MODBUS_LANES = 9  # where the registers of the next would be, the ring of commands begins


class LineConfig(Table):
    """The whole file.

    Attributes:
        grams: mean weight of one piece per category, for purity by weight.
    """

    line: LineSettings = LineSettings()
    camera: CameraSettings = CameraSettings()
    belt: BeltSettings = BeltSettings()
    lanes: tuple[Lane, ...] = ()
    sorter: SorterSettings = SorterSettings()
    ledger: LedgerSettings = LedgerSettings()
    audit: AuditSettings = AuditSettings()
    alarms: AlarmSettings = AlarmSettings()
    shifts: tuple[Shift, ...] = ()
    grams: dict[str, Positive] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _lanes_are_distinct(self) -> Self:
        numbers = sorted(lane.number for lane in self.lanes)
        twice = sorted({number for number, following in pairwise(numbers) if number == following})
        if twice:
            raise ValueError(f"lanes: number {twice[0]} stands there twice")
        owners: dict[str, int] = {}
        for lane in self.lanes:
            for word in (*lane.categories, *(f"stream {stream}" for stream in lane.streams)):
                if owners.setdefault(word, lane.number) != lane.number:
                    raise ValueError(f"lanes: {word} goes to lane {owners[word]} and to lane {lane.number}")
        return self

    @model_validator(mode="after")
    def _sorter_fits(self) -> Self:
        kind, encoder = self.sorter.kind, self.belt.encoder
        highest = max((lane.number for lane in self.lanes), default=0)
        if kind.startswith("modbus") and highest > _MODBUS_LANES:
            raise ValueError(f"lanes: Modbus has registers for lanes 1 to {_MODBUS_LANES}, got lane {highest}")
        if encoder is not None and not kind.startswith((encoder, "none")):
            raise ValueError(f'belt.encoder: "{encoder}" comes with a sorter of that kind, got one of kind "{kind}"')
        if kind != "none" and not self.lanes:
            raise ValueError(f'lanes: expected at least one [[lanes]] table for a sorter of kind "{kind}"')
        return self

    @property
    def prefix(self) -> str:
        """Of all MQTT topics, without a slash at its end."""
        return (self.sorter.prefix or f"binsight/v1/{self.line.site}/{self.line.name}").rstrip("/")

    @property
    def client(self) -> str:
        """By which a broker knows the line: a dash within a name is doubled, so that no two lines share one."""
        site, name = (word.replace("-", "--") for word in (self.line.site, self.line.name))
        return f"binsight-{site}-{name}"

    def lane_of(self, category: str, stream: str) -> Lane | None:
        """The lane that takes a category; one that names the category goes before one that names its stream."""
        by_category = (lane for lane in self.lanes if category in lane.categories)
        by_stream = (lane for lane in self.lanes if stream in lane.streams)
        return next(by_category, None) or next(by_stream, None)

    def shift_at(self, at: dt.datetime) -> str | None:
        """The shift that runs at `at`, by its local time; None where no shifts are set."""
        if not self.shifts:
            return None
        ordered = sorted(self.shifts, key=lambda shift: shift.start)
        begun = [shift for shift in ordered if shift.start <= at.time()]
        return (begun or ordered)[-1].name

    def check_taxonomy(self, taxonomy: Taxonomy) -> list[str]:
        """What lanes and grams ask for that the model does not know; empty when all fits."""
        streams = tuple(sorted({entry.stream for entry in taxonomy.classes}))
        words = [(f"lane {lane.number}", word, taxonomy.ids) for lane in self.lanes for word in lane.categories]
        words += [(f"lane {lane.number}", word, streams) for lane in self.lanes for word in lane.streams]
        words += [("grams", word, taxonomy.ids) for word in self.grams]
        return [
            f"{where}: the model has no {word!r}; {suggest(word, known)}"
            for where, word, known in words
            if word not in known
        ]


def load_line_config(path: Path) -> LineConfig:
    """Read `line.toml`.

    Raises:
        InputError: it cannot be read.
        SettingsError: it is no TOML, or its values cannot be; all faults are in the message.
    """
    return parse_line_config(read_toml(path), where=str(path))


def parse_line_config(values: dict[str, Any], *, where: str = "line.toml") -> LineConfig:
    """Check the tables of a `line.toml`.

    Raises:
        SettingsError: with all faults, each with its place.
    """
    try:
        return LineConfig.model_validate(values)
    except ValidationError as error:
        faults = [_fault(dict(fault)) for fault in error.errors()]
        raise SettingsError(f"{where}: " + "; ".join(faults)) from error


def _fault(fault: dict[str, Any]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    if fault["type"] == "extra_forbidden":
        *parents, key = fault["loc"]
        table: Any = LineConfig
        for name in (part for part in parents if isinstance(part, str)):
            annotation = table.model_fields[name].annotation
            table = (
                annotation
                if isinstance(annotation, type) and issubclass(annotation, BaseModel)
                else annotation.__args__[0]
            )
        return f"{place}: there is no such setting; {suggest(str(key), list(table.model_fields))}"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    got = "" if fault["type"] in {"missing", "value_error"} else f", got {fault['input']!r}"
    return f"{place}: {message}{got}" if place else message
