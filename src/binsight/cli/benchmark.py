"""`binsight benchmark`: how fast models are on this machine, how large, how much memory they take."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from binsight.cli.options import Command, bundle_argument, json_option, option
from binsight.cli.progress import progress_bar
from binsight.cli.sources import find_photos
from binsight.cli.text import markup, new_table, open_console, print_json
from binsight.errors import BundleError, ImageError

if TYPE_CHECKING:
    from rich.table import Table

    from binsight.export.speed import Speed, Subject

__all__ = ["benchmark"]

_ENGINES = ("onnx", "onnx-int8", "litert", "litert-int8")
_MADE_UP_SIZE = (640, 480)
_ROUNDS = 5  # of `measure_speeds`


def _counts(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """The numbers of a list such as `1,2`."""
    try:
        counts = tuple(int(part) for part in value.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers from 1, such as 1,2.", ctx, param)
    return tuple(dict.fromkeys(counts))


@click.command(cls=Command, renamed={"--threads": "--workers"})
@bundle_argument("bundles", nargs=-1, metavar="[BUNDLE]...")
@option(
    "--engine",
    "engines",
    type=click.Choice(_ENGINES),
    multiple=True,
    help="What to run; may be repeated.  [default: all that the bundle has inside]",
)
@option("--photos", metavar="FOLDER|GLOB", help="Photos to measure with.  [default: a made-up one, 640 x 480]")
@option("--limit", type=click.IntRange(min=1), default=200, help="Use at most so many photos.")
@option("--workers", callback=_counts, default="1", metavar="N,...", help="Cores to use.")
@json_option("Print a JSON array.")
def benchmark(
    bundles: tuple[str, ...],
    engines: tuple[str, ...],
    photos: str | None,
    limit: int,
    workers: tuple[int, ...],
    as_json: bool,
) -> None:
    """Measure each BUNDLE with each engine and number of workers, in turn, each in a process of its own.

    Decode and engine are the times for one photo with all cores on it (median, and what 95 % do not exceed);
    photos/s is what comes out when each core works on photos of its own. Ratios are to the first row.

    \b
    Examples:
      binsight benchmark --photos data/val/ --workers 1,2
      binsight benchmark waste8 edge.zip --photos data/val/
      binsight benchmark edge.zip --engine litert --engine litert-int8 --json
    """
    from binsight.export.speed import measure_speeds

    subjects = _subjects(bundles, engines, workers)
    encoded = _read_photos(photos, limit)
    with progress_bar("Measuring") as update:
        done, total = itertools.count(1), min(_ROUNDS, len(encoded)) * len(subjects)
        speeds = measure_speeds(subjects, encoded, progress=lambda: update(next(done), total))
    if as_json:
        print_json([speed.to_dict() for speed in speeds], indent=None)
        return
    console = open_console()
    console.print(_table(speeds))
    what = "times a made-up picture" if photos is None else "photos"
    console.print(f"{speeds[0].photos:,} {what}; memory is that of the whole process.", markup=False)


def _subjects(bundles: Sequence[str], engines: Sequence[str], threads: Sequence[int]) -> list[Subject]:
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.export.formats import FORMATS
    from binsight.export.speed import Subject

    subjects = []
    for bundle in map(resolve_bundle, bundles):
        files = load_bundle(bundle).manifest.files
        for engine in engines or [name for name, kind in FORMATS.items() if kind.file in files]:
            if FORMATS[engine].file not in files:
                raise BundleError(
                    f"{bundle} has no {FORMATS[engine].file}; make a copy that has, with: "
                    f"binsight export {bundle} --format {engine} --into-bundle --out COPY"
                )
            subjects += [Subject(bundle, engine, count) for count in threads]
    return subjects


def _read_photos(argument: str | None, limit: int) -> list[bytes]:
    from binsight.imaging import decode_image, read_photo

    if argument is None:
        return [_made_up_photo()] * limit
    paths = find_photos(argument)
    encoded = []
    for path in paths[:: -(-len(paths) // limit)]:
        try:
            encoded.append(read_photo(path))
            decode_image(encoded[-1])  # here its name is known
        except ImageError as error:
            raise type(error)(f"{path}: {error}") from error
    return encoded


def _made_up_photo() -> bytes:
    """A JPEG of soft noise: decoding it takes about as long as decoding a photo."""
    import numpy as np
    from PIL import Image

    from binsight.imaging import encode_picture

    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return encode_picture(Image.fromarray(noise).resize(_MADE_UP_SIZE, Image.Resampling.BICUBIC), quality=90)


def _table(speeds: Sequence[Speed]) -> Table:
    from rich.table import Column

    times = ("Decode ms", "p95", "Engine ms", "p95", "ratio", "Photos/s", "ratio", "Load ms")
    numbers = (
        Column(title, justify="right", style="dim" if title == "ratio" else "")
        for title in ("Workers", *times, "File MB", "ratio", "Memory MB")
    )
    table = new_table("Model", "Engine", *numbers, padding=(0, 1), collapse_padding=True)
    for speed in speeds:
        table.add_row(*_cells(speed, speeds[0]))
    return table


def _cells(speed: Speed, first: Speed) -> list[str]:
    return [
        markup(speed.model),
        speed.engine,
        str(speed.threads),
        f"{speed.decode_p50_ms:.1f}",
        f"{speed.decode_p95_ms:.1f}",
        f"[bold]{speed.engine_p50_ms:.1f}[/]",
        f"{speed.engine_p95_ms:.1f}",
        f"{speed.engine_p50_ms / first.engine_p50_ms:.2f}",
        f"[bold]{speed.photos_per_s:,.0f}[/]",
        f"{speed.photos_per_s / first.photos_per_s:.2f}",
        f"{speed.load_ms:.0f}",
        f"{speed.file_bytes / 1e6:.1f}",
        f"{speed.file_bytes / first.file_bytes:.2f}",
        "?" if speed.peak_memory_bytes is None else f"{speed.peak_memory_bytes / 1e6:.0f}",
    ]
