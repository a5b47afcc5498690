"""Settings of an edge device."""

from __future__ import annotations

from pathlib import Path

import pytest

from binsight.edge.settings import read_settings
from binsight.errors import InputError, SettingsError

CAMERA = {"source": "/dev/video0", "mqtt": "mqtt://server"}


def test_a_flag_goes_before_the_file(tmp_path: Path) -> None:
    """Keys are the flags' names, with the units of the flags."""
    file = tmp_path / "edge.toml"
    file.write_text('source = "folder:a"\nmqtt = "mqtt://a"\nstore_mb = 2\nheartbeat = 3\nstore = "b.sqlite"\n')
    found = read_settings(file, {"source": "/dev/video1", "engine": None})
    assert (found.source, found.mqtt, found.heartbeat_s) == ("/dev/video1", "mqtt://a", 3.0)
    assert (found.store_bytes, found.store) == (2_000_000, Path("b.sqlite"))


def test_topics_are_those_of_a_line() -> None:
    """Of the site and the device, or what is asked for."""
    assert read_settings(None, CAMERA | {"name": "bin7", "site": "hall"}).topics == "binsight/v1/hall/bin7"
    assert read_settings(None, CAMERA | {"prefix": "a/b/"}).topics == "a/b"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mqtt": "mqtt://a"}, "source: expected a camera"),
        ({"source": "push:"}, "mqtt, webhook: expected at least one"),
        (CAMERA | {"mqtt": "http://a"}, "mqtt: expected mqtt://HOST"),
        (CAMERA | {"mqtt": "mqtt://me:secret@a"}, "without a name or password"),
        (CAMERA | {"server": "a:9696"}, "server: expected http://HOST"),
        (CAMERA | {"mode": "server"}, "server: expected an address, since mode is server"),
        (CAMERA | {"name": "a/b"}, "name: expected letters, digits"),
        (CAMERA | {"frames_per_second": float("nan")}, "frames_per_second: expected a number"),
        (CAMERA | {"engine": "tpu"}, "engine: expected one of auto, onnx"),
        (CAMERA | {"store_bytes": 5}, "store_bytes: expected a whole number from 1,000,000"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], message: str) -> None:
    """With what was expected."""
    with pytest.raises(SettingsError, match=message):
        read_settings(None, given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sorce = 1", "no setting sorce; did you mean source"),
        ("store = 5", "store: expected a path, got 5"),
        ("frames_per_second = 'two'", "frames_per_second: expected a number"),
        ("a = ", "not valid TOML"),
    ],
)
def test_faults_of_a_file_are_named_with_it(tmp_path: Path, text: str, message: str) -> None:
    """So that one knows where to look."""
    file = tmp_path / "edge.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=rf"edge\.toml: .*{message}"):
        read_settings(file, CAMERA)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """An input error."""
    with pytest.raises(InputError, match=r"none\.toml"):
        read_settings(tmp_path / "none.toml", {})
