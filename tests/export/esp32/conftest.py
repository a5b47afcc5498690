"""A micro model exported and compiled once for all tests, where there is a compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.export.esp32.micro_network import SPEC, micro_bundle, micro_file

from binsight.bundle import load_bundle
from binsight.export.esp32 import write_project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from binsight.imaging import PreprocessSpec

_HAS_COMPILER = os.name == "posix" and all(shutil.which(tool) for tool in ("gcc", "make"))


@dataclass(frozen=True)
class Device:
    """A project, compiled for this computer.

    Attributes:
        folder: of the project.
        size: of the network's input.
        classes: how many logits.
    """

    folder: Path
    size: tuple[int, int] = SPEC.size
    classes: int = 3
    channels: int = 3

    def classify(self, pictures: Sequence[NDArray[np.uint8]], *options: str) -> subprocess.CompletedProcess[bytes]:
        """Run its program on pictures `(h, w, 3)` uint8."""
        data = b"".join(b"P6 %d %d 255\n" % (p.shape[1], p.shape[0]) + p.tobytes() for p in pictures)
        command = [self.folder / "host" / "classify", *options, "-"]
        return subprocess.run(command, input=data, capture_output=True, check=False)

    def run(self, pictures: Sequence[NDArray[np.uint8]], *options: str) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """The network's inputs `(n, h, w, channels)` int8 for them, and its answers `(n, C)` int8."""
        done = self.classify(pictures, *options, "--bytes")
        assert (done.returncode, done.stderr) == (0, b"")
        rows = np.frombuffer(done.stdout, np.int8).reshape(len(pictures), -1)
        inputs = rows[:, : -self.classes].reshape(-1, *self.size, self.channels)
        return inputs, rows[:, -self.classes :]


def needs_compiler() -> None:
    """Skip where there is none."""
    if not _HAS_COMPILER:
        pytest.skip("gcc and make are not installed")


def build(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """Run `make` in the project's part for this computer, with gcc, make and nothing else."""
    command = ["make", "-C", folder / "host", "CFLAGS=-O1", *targets]
    surroundings = {"PATH": "/usr/bin:/bin", "CC": "gcc"}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)


def export(folder: Path, data: bytes, spec: PreprocessSpec, channels: int = 3) -> Device:
    """Export a micro network with that preprocessing, and compile it."""
    needs_compiler()
    write_project(load_bundle(micro_bundle(folder / "bundle", data, spec=spec)), folder / "project")
    built = build(folder / "project", "classify")
    assert built.returncode == 0, built.stderr
    return Device(folder / "project", channels=channels)


@pytest.fixture(scope="session")
def micro() -> bytes:
    """Return the micro network's file."""
    return micro_file()


@pytest.fixture(scope="session")
def device(micro: bytes, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """Return a project that no test changes, compiled."""
    return export(tmp_path_factory.mktemp("esp32"), micro, SPEC)
