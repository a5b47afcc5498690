"""What a line remembers over restarts: the empty belt, and that its camera is familiar to its model."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from tests.line.watched import watched_config
from tests.tiny_bundle import tiny_manifest

from binsight.line.memory import LineMemory
from binsight.line.settings import CameraSettings

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = watched_config()


def settle() -> None:
    """Wait until all is written."""
    for thread in threading.enumerate():
        if thread.name == "memory":
            thread.join()


def test_a_familiar_camera_is_remembered_until_it_is_not(tmp_path: Path) -> None:
    """A line that was never started begins with a new one."""
    manifest = tiny_manifest()
    memory = LineMemory(tmp_path, CONFIG, manifest)
    assert memory.is_new
    memory.keep_familiar(True)
    settle()
    assert not LineMemory(tmp_path, CONFIG, manifest).is_new
    memory.keep_familiar(False)
    settle()
    assert LineMemory(tmp_path, CONFIG, manifest).is_new


def test_another_model_or_camera_is_new(tmp_path: Path) -> None:
    """And neither the camera's password is written down."""
    camera = CONFIG.model_copy(update={"camera": CameraSettings(source="rtsp://me:secret@camera/1")})
    LineMemory(tmp_path, camera, tiny_manifest()).keep_familiar(True)
    settle()
    assert not LineMemory(tmp_path, camera, tiny_manifest()).is_new
    assert LineMemory(tmp_path, CONFIG, tiny_manifest()).is_new
    assert LineMemory(tmp_path, camera, tiny_manifest(version="2.0.0")).is_new
    assert "secret" not in (tmp_path / "line1.camera.json").read_text()


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b"\xff", b'{"familiar": true}'])
def test_what_cannot_be_read_is_learnt_anew(tmp_path: Path, kept: bytes) -> None:
    """A file that was cut short stops no line."""
    (tmp_path / "line1.camera.json").write_bytes(kept)
    assert LineMemory(tmp_path, CONFIG, tiny_manifest()).is_new


def test_the_empty_belt(tmp_path: Path) -> None:
    """Bytes as they were given."""
    memory = LineMemory(tmp_path, CONFIG, tiny_manifest())
    assert memory.empty_belt is None
    memory.keep_belt(b"belt")
    settle()
    assert memory.empty_belt == b"belt"


def test_a_folder_that_takes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is said, and the line goes on."""
    (tmp_path / "file").write_bytes(b"")
    LineMemory(tmp_path / "file", CONFIG, tiny_manifest()).keep_familiar(True)
    settle()
    assert "cannot be remembered" in caplog.text
