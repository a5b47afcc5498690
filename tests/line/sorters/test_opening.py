"""The sorter that a configuration asks for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import pytest
from tests.line.fakes import COMMAND, FakeClock, Heard

from binsight.errors import MissingExtraError, SettingsError
from binsight.line.config import LineConfig, parse_line_config
from binsight.line.settings import SorterKind
from binsight.line.sorters import open_sorter
from binsight.line.sorters.opening import _SORTERS

if TYPE_CHECKING:
    from pathlib import Path

ADDRESSES = {
    "mqtt": "mqtt://127.0.0.1",
    "modbus-server": "tcp://127.0.0.1",
    "modbus-client": "modbus://127.0.0.1",
    "opcua": "opc.tcp://127.0.0.1:4840",
    "webhook": "http://127.0.0.1",
    "csv": "line.csv",
    "none": "",
}


def config(kind: str, lane: int = 1) -> LineConfig:
    """Return a line with one lane and this sorter."""
    lanes = [{"number": lane, "categories": ["glass"], "distance_mm": 1200}]
    return parse_line_config({"lanes": lanes, "sorter": {"kind": kind, "url": ADDRESSES[kind]}})


@pytest.mark.parametrize("kind", get_args(SorterKind))
def test_every_kind_opens(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class is the one of the table, it does nothing yet, and it can be closed as it is."""
    monkeypatch.chdir(tmp_path)
    sorter = open_sorter(config(kind), clock=FakeClock())
    assert type(sorter).__name__ == _SORTERS[kind][1]  # type: ignore[index]
    assert sorter.confirms == (kind in {"mqtt", "modbus-server", "modbus-client", "opcua"})
    assert not sorter.send(COMMAND) or kind == "csv"
    sorter.close()


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [("opcua", "asyncua", "line-opcua"), ("mqtt", "paho", "line"), ("modbus-client", "pymodbus", "line")],
)
def test_a_missing_library_is_named(kind: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its extra, and only where it is asked for."""
    for name in [name for name in sys.modules if name.split(".")[0] == library or ".sorters." in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf'a sorter of kind "{kind}" needs .*binsight\[{extra}\]'):
        open_sorter(config(kind), clock=FakeClock())
    open_sorter(config("webhook"), clock=FakeClock())


def test_opening_imports_what_is_asked_for_alone() -> None:
    """A webhook needs no library of others."""
    program = (
        "import sys; from binsight.line.sorters import open_sorter; from binsight.line.config import parse_line_config;"
        "open_sorter(parse_line_config({}), clock=None);"
        "print([name for name in ('paho', 'pymodbus', 'asyncua') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_sorter_takes_nothing() -> None:
    """And says nothing."""
    sorter, heard = open_sorter(parse_line_config({}), clock=FakeClock()), Heard()
    sorter.start(heard)
    assert not sorter.send(COMMAND)
    sorter.publish("state", {})
    sorter.close()
    assert heard.link.empty()


@pytest.mark.parametrize("kind", ["modbus-server", "modbus-client"])
def test_modbus_has_nine_lanes(kind: str) -> None:
    """The tenth would stand where the commands are."""
    config(kind, lane=9)
    with pytest.raises(SettingsError, match="registers for lanes 1 to 9, got lane 10"):
        config(kind, lane=10)
    config("mqtt", lane=10)


@pytest.mark.parametrize(
    ("encoder", "kind", "fits"),
    [
        ("mqtt", "mqtt", True),
        ("modbus", "modbus-server", True),
        ("modbus", "modbus-client", True),
        ("modbus", "mqtt", False),
        ("mqtt", "modbus-client", False),
        ("mqtt", "webhook", False),
    ],
)
def test_the_encoder_comes_with_the_sorter(encoder: str, kind: str, fits: bool) -> None:
    """A belt whose encoder nobody reads would stand for ever."""
    values = config(kind).model_dump() | {"belt": {"encoder": encoder, "counts_per_mm": 10}}
    if fits:
        assert parse_line_config(values).belt.encoder == encoder
    else:
        with pytest.raises(
            SettingsError, match=f'"{encoder}" comes with a sorter of that kind, got one of kind "{kind}"'
        ):
            parse_line_config(values)


@pytest.mark.parametrize(
    ("kind", "url", "words"),
    [
        ("mqtt", "mqtt://", "expected a host"),
        ("modbus-server", "tcp://:502", "expected a host"),
        ("modbus-client", "tcp://plc:99999", "a port from 1 to 65535"),
        ("opcua", "opc.tcp://0.0.0.0:port", "a port from 1 to 65535"),
        ("webhook", "http://[::1", "expected a host"),
        ("webhook", "http://me:secret@host/", "no name and password"),
        ("mqtt", "mqtt://me:secret@host", "username and password_file"),
    ],
)
def test_an_address_is_checked_at_start(kind: str, url: str, words: str) -> None:
    """Not when the line first tries to connect; a password is not repeated."""
    lanes = [{"number": 1, "categories": ["glass"], "distance_mm": 1200}]
    with pytest.raises(SettingsError, match=words) as refused:
        parse_line_config({"lanes": lanes, "sorter": {"kind": kind, "url": url}})
    assert "secret" not in str(refused.value)
