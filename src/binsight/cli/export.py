"""`binsight export`: a bundle's network as a file for other programs and devices, checked against the bundle."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.options import PLACE, Command, bundle_argument, json_option, option
from binsight.cli.progress import progress_bar
from binsight.cli.sources import find_photos
from binsight.cli.text import plain, print_json
from binsight.errors import ImageError, OutputError
from binsight.files import write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from binsight.bundle import Bundle
    from binsight.export.formats import Format
    from binsight.export.parity import Parity

__all__ = ["export"]

_FORMATS = ("onnx", "onnx-int8", "litert", "litert-int8", "esp32")
_CALIBRATION_PHOTOS = 100  # more change nothing that can be measured


@click.command(cls=Command, renamed={"--to": "--format"})
@bundle_argument()
@option("--format", "name", type=click.Choice(_FORMATS), required=True, help="The format.")
@option("--out", type=PLACE, metavar="PATH", help="Where to.  [default: NAME-VERSION.SUFFIX]")
@option("--into-bundle", is_flag=True, help="Write a copy of the bundle with the network inside to --out.")
@option("--photos", metavar="FOLDER|GLOB", help="Photos to check on; int8 is also calibrated on some of them.")
@option("--force", is_flag=True, help="Write the file even if the check fails.")
@option("--overwrite", is_flag=True, help="Replace what is at --out; with --into-bundle and no --out, BUNDLE.")
@json_option("Print one JSON object.")
def export(
    bundle: str,
    name: str,
    out: Path | None,
    into_bundle: bool,
    photos: str | None,
    force: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Export the network of BUNDLE to ONNX or LiteRT, as float or as 8-bit integers.

    Preprocessing is inside: every file takes the pixels of a photo, resized as `binsight model show` says, as uint8.
    The file is run on --photos and compared with the bundle. Float must give 99.9 % of them the same category, int8
    99 %; otherwise nothing is written, and the exit code is 1. int8 needs photos: up to 100 calibrate it, the others
    check it.

    esp32 takes a micro model and writes a folder: its network and all around it in C, a program and tests for this
    computer (`make -C DIR/host test`), and the firmware for the boards.

    \b
    Examples:
      binsight export --format litert --photos data/val/
      binsight export my.zip --format onnx-int8 --photos data/val/ --out my.int8.onnx
      binsight export my.zip --format litert-int8 --photos data/val/ --into-bundle --out edge.zip
      binsight export waste8-micro --to esp32 --out firmware/
    """
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.export.engines import import_runtime
    from binsight.export.formats import FORMATS, export_network

    if name == "esp32":
        if into_bundle or photos or force:
            raise click.UsageError("esp32 takes no --into-bundle, --photos and --force: `make test` there checks it")
        _export_project(load_bundle(resolve_bundle(bundle)), out, overwrite=overwrite, as_json=as_json)
        return
    found, kind = load_bundle(resolve_bundle(bundle)), FORMATS[name]
    target = _target(found, kind, out, into_bundle=into_bundle, overwrite=overwrite)
    calibration, checked = _split(find_photos(photos) if photos else [], kind)
    if checked:
        import_runtime(kind.runtime)  # before minutes of work, not after
    with progress_bar(f"Exporting to {name}"):
        network = export_network(found, kind, [_prepare(path, found) for path in calibration])
    with progress_bar("Checking"):
        parity = _check(found, kind, network, checked)
    is_kept = parity is None or parity.same_label >= kind.least_same_label
    if is_kept or force:
        facts = parity.to_dict() if parity else {"photos": 0}
        _write(found, kind, network, target, into_bundle=into_bundle, overwrite=overwrite, facts=facts)
    written = target if is_kept or force else None
    (_print_json if as_json else _print_words)(kind, written, len(network), parity)
    if not is_kept:
        sys.exit(EXIT_FAULTS)


def _export_project(bundle: Bundle, out: Path | None, *, overwrite: bool, as_json: bool) -> None:
    from binsight.export.esp32 import write_project

    target = out or Path(f"{bundle.manifest.name}-{bundle.manifest.version}-esp32")
    project = write_project(bundle, target, overwrite=overwrite)
    if as_json:
        print_json({"format": "esp32", **asdict(project), "out": str(target)}, indent=None)
        return
    times = ", ".join(f"{chip} {ms} ms" for chip, ms in project.estimated_ms.items())
    place = plain(str(target))
    click.echo(f"flash for the network {project.model_bytes / 1000:.0f} kB, memory {project.arena_bytes / 1000:.0f} kB")
    click.echo(f"{project.products / 1e6:.1f} million products a picture: about {times} (an estimate)")
    click.echo(f"{place}  (check it with: make -C {shlex.quote(place + '/host')} test)")


def _target(bundle: Bundle, kind: Format, out: Path | None, *, into_bundle: bool, overwrite: bool) -> Path:
    """Where the result goes; refused before any work is done if it cannot go there."""
    if into_bundle and kind.name == "onnx":
        raise click.UsageError("every bundle has its network as ONNX inside; leave --into-bundle out")
    if into_bundle and out is None and not overwrite:
        raise click.UsageError("--into-bundle needs --out COPY, or --overwrite to change the bundle itself")
    manifest = bundle.manifest
    default = bundle.path if into_bundle else Path(f"{manifest.name}-{manifest.version}{kind.suffix}")
    target = default if out is None else out
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} exists; choose another --out, or replace it with --overwrite")
    if target.is_dir() and not into_bundle:
        raise OutputError(f"{target} is a folder; --out is the file to write")
    return target


def _split(photos: Sequence[Path], kind: Format) -> tuple[list[Path], list[Path]]:
    """Photos to calibrate with, spread evenly, and the others to check on: none does both."""
    if not kind.is_quantised:
        return [], list(photos)
    if len(photos) < 2:
        raise click.UsageError(
            f"{kind.name} needs --photos with at least 2 photos, some to calibrate it and some to check"
        )
    every = max(2, -(-len(photos) // _CALIBRATION_PHOTOS))
    return list(photos[::every]), [photo for i, photo in enumerate(photos) if i % every]


def _prepare(path: Path, bundle: Bundle) -> NDArray[np.uint8]:
    from binsight.imaging import prepare_photo, read_photo

    try:
        return prepare_photo(read_photo(path), bundle.manifest.preprocess)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error


def _check(bundle: Bundle, kind: Format, network: bytes, photos: Sequence[Path]) -> Parity | None:
    from binsight.export.engines import open_engine
    from binsight.export.parity import check_parity
    from binsight.predictor import available_cores, run_in_order

    if not photos:
        return None
    prepared = run_in_order(partial(_prepare, bundle=bundle), photos, workers=available_cores())
    return check_parity(bundle, open_engine(kind.runtime, network, threads=1), prepared)


def _write(
    bundle: Bundle,
    kind: Format,
    network: bytes,
    target: Path,
    *,
    into_bundle: bool,
    overwrite: bool,
    facts: dict[str, Any],
) -> None:
    from binsight.export.formats import add_to_bundle

    if into_bundle:
        add_to_bundle(bundle, kind, network, target, facts=facts, overwrite=overwrite)
    else:
        write_whole(target, network)


def _print_json(kind: Format, written: Path | None, size: int, parity: Parity | None) -> None:
    answer = {
        "format": kind.name,
        "written": None if written is None else str(written),
        "bytes": size,
        "required_same_label": kind.least_same_label,
        "parity": None if parity is None else parity.to_dict(),
    }
    print_json(answer, indent=None)


def _print_words(kind: Format, written: Path | None, size: int, parity: Parity | None) -> None:
    if parity is None:
        click.echo("not checked against the bundle: give --photos to do so")
    else:
        verdict = "" if parity.same_label >= kind.least_same_label else " (MISSED)"
        click.echo(
            f"same category on {parity.same_label:.2%} of {parity.photos:,} photos, "
            f"required {kind.least_same_label:.1%}{verdict}"
        )
        click.echo(
            f"difference of probabilities: largest {parity.max_difference:.5f}, median {parity.median_difference:.5f}"
        )
        if parity.max_biodegradable_difference is not None:
            click.echo(
                f"difference of the biodegradable probability: largest {parity.max_biodegradable_difference:.5f}"
            )
    place = "nothing written; --force writes it all the same" if written is None else plain(str(written))
    click.echo(f"{place}  ({size / 1e6:.2f} MB)" if written else place)
