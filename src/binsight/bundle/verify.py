"""Check a bundle completely, and report everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from binsight.bundle.bundle import Bundle, read_manifest
from binsight.bundle.calibration_record import read_calibration
from binsight.bundle.container import (
    CALIBRATION_NAME,
    DELTA_NAME,
    MANIFEST_NAME,
    MODEL_NAME,
    REPLAY_NAME,
    open_container,
)
from binsight.bundle.replay import read_replay
from binsight.bundle.session import open_session
from binsight.errors import BundleError

__all__ = ["Fault", "verify_bundle"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: the file it is in, or None for the bundle as a whole, and what it is."""

    file: str | None
    message: str


def verify_bundle(path: str | Path) -> list[Fault]:
    """Check every file of a bundle against its manifest, and open every network in it.

    Returns:
        What is wrong; empty for a sound bundle.

    Raises:
        InputError: there is nothing at `path`, or it cannot be read.
    """
    return list(_faults(Path(path)))


def _faults(path: Path) -> Iterator[Fault]:
    try:
        container = open_container(path)
        bundle = Bundle(path, read_manifest(container), container)
    except BundleError as error:
        yield _fault(error)
        return
    for name in bundle.manifest.files:
        try:
            if name.endswith(".onnx"):
                open_session(bundle, threads=1, model=name)
            elif name == CALIBRATION_NAME:
                read_calibration(bundle)
            elif name == REPLAY_NAME:
                read_replay(bundle)
            else:
                bundle.read(name)
        except BundleError as error:
            yield _fault(error, name)
    listed = {MANIFEST_NAME, *bundle.manifest.files}
    if bundle.manifest.base is not None:
        listed ^= {MODEL_NAME, DELTA_NAME}
    for name in container.names():
        if name not in listed and not name.startswith("."):
            yield Fault(name, "the manifest does not list it")


def _fault(error: BundleError, file: str | None = None) -> Fault:
    name = error.file or file
    return Fault(name, str(error).removeprefix(f"{name}: "))
