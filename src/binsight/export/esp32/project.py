"""The whole project in a folder: what is the same for every model, and what is made from one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle
from binsight.bundle.container import MICRO_NAME
from binsight.errors import ExportError, OutputError
from binsight.export.engines import import_runtime
from binsight.export.esp32.c_sources import (
    expected_header,
    make_pattern,
    model_header,
    model_source,
    plan_header,
    plan_source,
)
from binsight.export.esp32.micro_file import MicroFile, read_micro_file
from binsight.export.micro import as_input
from binsight.export.quiet import quiet
from binsight.files import replace_whole
from binsight.system_errors import describe_os_error

__all__ = ["MicroProject", "write_project"]

_TEMPLATES = resources.files("binsight.export.esp32").joinpath("project")
_MARK = Path("core", "binsight_core.h")  # what tells an exported project from another folder
_GOLDEN_PICTURES = 4
# esp-tflite-micro's README: person detection, 96 x 96 x 1, 7.2 million products, with ESP-NN, at 240 MHz.
_PUBLISHED_PRODUCTS: Final = 7_200_000
_PUBLISHED_MS: Final = {"ESP32": 380, "ESP32-S3": 54}


@dataclass(frozen=True, slots=True)
class MicroProject:
    """What was written.

    Attributes:
        out: the folder.
        model_bytes: of flash for the network.
        arena_bytes: of memory for it.
        products: multiplications of one picture.
        estimated_ms: chip → what one picture takes, estimated by `products` from published times of another network.
    """

    out: Path
    model_bytes: int
    arena_bytes: int
    products: int
    estimated_ms: Mapping[str, int]


def write_project(bundle: Bundle, out: Path, *, overwrite: bool = False) -> MicroProject:
    """Write a micro model as a project for ESP32 boards, whole or not at all.

    Args:
        bundle: with a micro network inside.
        out: the folder to make.
        overwrite: replace what is there, if it is such a project.

    Raises:
        BundleError: the micro network is altered.
        ExportError: the bundle is not that of a micro model, or its network has what the project cannot run.
        MissingExtraError: LiteRT is not installed.
        OutputError: `out` exists, or cannot be written.
    """
    _refuse_existing(out, overwrite=overwrite)
    network, arena = _read_network(bundle), _arena_bytes(bundle)
    products = sum(layer.products for layer in network.layers)
    estimated = {chip: round(ms * products / _PUBLISHED_PRODUCTS) for chip, ms in _PUBLISHED_MS.items()}
    project = MicroProject(out, len(network.data), arena, products, estimated)
    files = _files(bundle, network, project)
    try:
        replace_whole(out, lambda draft: _write(draft, files))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {describe_os_error(error, named=False)}") from error
    return project


def _refuse_existing(out: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise OutputError(f"{out} exists; choose another --out, or replace it with --overwrite")
    if not (out / _MARK).is_file():
        raise OutputError(f"{out} exists and is no project for ESP32; choose another --out")


def _read_network(bundle: Bundle) -> MicroFile:
    manifest = bundle.manifest
    if MICRO_NAME not in manifest.files:
        raise ExportError(
            f"expected a micro model, got {bundle.label} without {MICRO_NAME}; "
            "export waste8-micro, or a model trained by its recipe"
        )
    network = read_micro_file(bundle.read(MICRO_NAME))
    if network.classes != len(manifest.taxonomy) or network.size != tuple(manifest.preprocess.size):
        raise ExportError(
            f"expected {MICRO_NAME} to take {manifest.preprocess.size} and to give {len(manifest.taxonomy)} logits, "
            f"got {network.size} and {network.classes}"
        )
    return network


def _arena_bytes(bundle: Bundle) -> int:
    facts = bundle.manifest.training.get("micro")
    arena = facts.get("arena_bytes") if isinstance(facts, Mapping) else None
    if type(arena) is not int or not 0 < arena < 1 << 30:
        raise ExportError(f"expected training.micro.arena_bytes in the manifest of {bundle.label}, got {arena!r}")
    return arena


def _files(bundle: Bundle, network: MicroFile, project: MicroProject) -> dict[str, bytes]:
    """Every file of the project, by its path in it."""
    manifest, golden = bundle.manifest, _golden_answers(network)
    templates = dict(_templates(_TEMPLATES))
    made = {
        "README.md": _readme(templates["README.md"].decode(), bundle, project),
        "core/model.h": model_header(manifest, network, golden, project.arena_bytes),
        "core/model.c": model_source(manifest, network, golden),
        "host/plan.h": plan_header(network),
        "host/plan.c": plan_source(network),
        "host/expected.h": expected_header(manifest.preprocess, network.channels),
    }
    return templates | {name: text.encode() for name, text in made.items()}


def _readme(text: str, bundle: Bundle, project: MicroProject) -> str:
    values = {
        "MODEL": bundle.label,
        "MODEL_KB": f"{project.model_bytes / 1000:.0f}",
        "ARENA_KB": f"{project.arena_bytes / 1000:.0f}",
        "PRODUCTS": f"{project.products / 1e6:.1f}",
        "PUBLISHED": ", ".join(f"{chip} {ms} ms" for chip, ms in _PUBLISHED_MS.items()),
        "ESTIMATE": ", ".join(f"{chip} {ms} ms" for chip, ms in project.estimated_ms.items()),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _templates(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()


def _golden_answers(network: MicroFile) -> NDArray[np.int8]:
    """`(n, C)` int8: what LiteRT's reference kernels answer to the pictures of the self-test."""
    litert = import_runtime("litert")
    answers = []
    with quiet():
        interpreter: Any = litert.Interpreter(
            model_content=network.data, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
        )
        interpreter.allocate_tensors()
        source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
        for which in range(_GOLDEN_PICTURES):
            picture = make_pattern(which, *network.size)
            interpreter.set_tensor(source, as_input(picture, network.channels)[None])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(target).reshape(-1).copy())
    return np.stack(answers)


def _write(draft: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
