"""`binsight predict`: photos in, categories out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.app import EXIT_USAGE
from binsight.cli.options import FOLDER, Command, model_option, option, precision_option, quiet_option, workers_option
from binsight.cli.progress import progress_bar
from binsight.cli.sources import STDIN, Source, find_sources
from binsight.cli.text import plain, print_first
from binsight.errors import BinsightError, InputError

if TYPE_CHECKING:
    from binsight.cli.results import Result, Writer
    from binsight.dataset import Ignored
    from binsight.imaging import ImageLimits
    from binsight.predictor import OnStrange, Prediction, Predictor, StreamCheck

__all__ = ["millions", "predict"]

_BATCH = 4  # photos per run of the network, measured in benchmarks/predict.py
_BAR_FROM = 20  # photos; fewer are done before a bar could be read
_PASSED_OVER_SHOWN = 20
_HELD = 100  # first results, until the camera is known to be strange or not: docs/results.md


def millions(ctx: click.Context, param: click.Parameter, value: float) -> int:
    """The number in ones, from an option that is given in millions."""
    if not 0 < value <= 1e6:  # nor is not-a-number
        raise click.BadParameter(f"{value:g} is not in the range 0<x<=1000000.", ctx, param)
    return max(1, round(value * 1e6))


@click.command(cls=Command, renamed={"--threads": "--workers"})
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO|FOLDER|GLOB|-...")
@option("--json", "form", section="Output", flag_value="json", help="One JSON object per line.")
@option("--csv", "form", section="Output", flag_value="csv", help="CSV with a header, one row per photo.")
@option(
    "--top", section="Output", type=click.IntRange(min=1), metavar="K", help="Also list the K most probable categories."
)
@option(
    "--heatmap",
    section="Output",
    type=FOLDER,
    help="Write each photo to DIR as PNG with what spoke for its category laid over it.",
)
@option(
    "--strange",
    type=click.Choice(["review", "warn"]),
    default="review",
    help="Where the photos as a whole look unlike those that the model knows: send all to review, or only warn.",
)
@model_option("A model bundle (folder or .zip), or the name of one in the package.")
@precision_option()
@workers_option()
@option("--max-mb", type=float, callback=millions, default=20, help="Refuse larger files.")
@option("--max-megapixels", type=float, callback=millions, default=65, help="Refuse larger photos.")
@quiet_option("No progress bar, no notes.")
def predict(
    photos: tuple[str, ...],
    form: str | None,
    top: int | None,
    heatmap: Path | None,
    strange: OnStrange,
    model: str,
    precision: str,
    workers: int | None,
    max_mb: int,
    max_megapixels: int,
    quiet: bool,
) -> None:
    """Say what the waste on each PHOTO is.

    A FOLDER is searched for photos at any depth, as binsight data scan does it; a GLOB in quotes is expanded here
    ("photos/**/*.jpg"); - reads one photo from standard input. A photo that cannot be read gets an error row, the
    others are still classified, and the exit code is 2. Photos that belong together are best given in one call: from 20
    on it is noticed when their camera is strange to the model, and then none is accepted (--strange).

    \b
    Examples:
      binsight predict can.jpg
      binsight predict belt/ --csv > belt.csv
      binsight predict "in/**/*.png" --json | jq -r 'select(.decision == "review") | .source'
      curl -s https://example.org/can.jpg | binsight predict - --json --top 3
      binsight predict bag.jpg --heatmap seen/
    """
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.imaging import ImageLimits
    from binsight.predictor import FIRST_LOOK, Predictor, StreamCheck, available_cores, choose_precision

    passed_over: list[Ignored] = []
    sources = find_sources(photos, on_passed_over=passed_over.append)
    limits = ImageLimits(max_bytes=max_mb, max_pixels=max_megapixels)
    cores = workers or available_cores()
    # One photo: all cores share it. Several: one core each, which classifies more of them a second.
    at_a_time = min(cores, len(sources))
    runs, _ = choose_precision(load_bundle(resolve_bundle(model)), precision)
    predictor = Predictor.load(model, threads=max(1, cores // at_a_time), precision=runs)
    if heatmap:
        results = _with_heatmaps(predictor, sources, limits, _heatmap_names(sources, heatmap), at_a_time)
    else:
        results = _without_heatmaps(predictor, sources, limits, at_a_time)
    writer = _writer(form, predictor, top)

    start = time.perf_counter()
    check = StreamCheck(predictor.bundle.manifest, on_strange=strange)
    hold = _HELD if strange == "review" and len(sources) >= FIRST_LOOK else 0
    # On a terminal the rows themselves show the progress, and a bar would be in their way.
    rows_are_seen = form is not None and sys.stdout.isatty()
    is_quiet = quiet or rows_are_seen or len(sources) < _BAR_FROM
    # Closing waits for the photos in work where the loop is left early: Ctrl-C, or a reader that has seen enough.
    failed = False
    with closing(results), progress_bar("Classifying", quiet=is_quiet) as advance:
        for result in _judged(results, check, hold, lambda done: advance(done, len(sources))):
            failed |= isinstance(result.outcome, BinsightError)
            writer.add(result)
    writer.close(time.perf_counter() - start)
    if not quiet:
        _print_passed_over(passed_over)
        if check.said is not None:
            click.echo(f"warning: {plain(check.warning if check.is_strange else check.said)}", err=True)
    if failed:
        sys.exit(EXIT_USAGE)


def _judged(
    results: Iterable[Result], check: StreamCheck, hold: int, on_result: Callable[[int], None]
) -> Generator[Result]:
    """Results as they are to be obeyed: the first `hold` all at once, when the camera is known to be strange or not."""
    held: list[Result] = []
    for done, result in enumerate(results, start=1):
        held.append(result)
        if not isinstance(result.outcome, BinsightError):
            check.add(result.outcome)
        on_result(done)
        if check.is_strange or done >= hold:
            yield from (_judge(one, check) for one in held)
            held = []
    yield from (_judge(one, check) for one in held)


def _judge(result: Result, check: StreamCheck) -> Result:
    if isinstance(result.outcome, BinsightError):
        return result
    return replace(result, outcome=check.judge(result.outcome))


def _print_passed_over(entries: Sequence[Ignored]) -> None:
    """On standard error, so that results stay results."""
    lines = [f"{plain(entry.path)} passed over: {plain(entry.reason)}" for entry in entries]
    rest = "more passed over; binsight data scan --json"
    print_first(lines, _PASSED_OVER_SHOWN, lead="note: ", rest=rest, err=True)


def _without_heatmaps(
    predictor: Predictor, sources: Sequence[Source], limits: ImageLimits, workers: int
) -> Generator[Result]:
    from binsight.cli.results import Result
    from binsight.predictor import predict_many

    # Few photos are better spread over the cores than gathered in batches.
    batch = _BATCH if len(sources) >= _BATCH * workers * 2 else 1
    load = partial(_load, limits=limits)
    outcomes = predict_many(predictor, sources, load, workers=workers, batch=batch, limits=limits)
    for source, outcome in zip(sources, outcomes, strict=True):
        yield Result(source.name, outcome)


def _with_heatmaps(
    predictor: Predictor, sources: Sequence[Source], limits: ImageLimits, targets: dict[Source, Path], workers: int
) -> Generator[Result]:
    from binsight.cli.results import Result
    from binsight.predictor import run_in_order

    def classify(source: Source) -> Result:
        try:
            data = _load(source, limits)
            prediction = _predict_with_heatmap(predictor, data, limits, targets[source])
            return Result(source.name, prediction, str(targets[source]))
        except BinsightError as error:
            return Result(source.name, error)

    yield from run_in_order(classify, sources, workers=workers)


def _load(source: Source, limits: ImageLimits) -> bytes:
    """The bytes of a photo, or the error that says why there are none."""
    from binsight.imaging import read_photo

    if source.fault is not None:
        raise source.fault
    return _read_stdin(limits) if source.name == STDIN else read_photo(source.name, limits=limits)


def _predict_with_heatmap(predictor: Predictor, data: bytes, limits: ImageLimits, target: Path) -> Prediction:
    from binsight.cli.pictures import write_picture

    prediction, overlay = predictor.predict_with_heatmap(data, limits=limits)
    write_picture(target, overlay)
    return prediction


def _heatmap_names(sources: Iterable[Source], folder: Path) -> dict[Source, Path]:
    """For each photo a name of its own below `folder`, in the structure that the photos have; never that of a photo."""
    photos = {source: Path(source.name).absolute() for source in sources if source.fault is None}
    taken = {_folded(path) for path in photos.values()}
    names: dict[Source, Path] = {}
    for source in photos:
        stem, count = source.relative.with_suffix(""), 1
        target = folder / f"{stem}.png"
        while _folded(target.absolute()) in taken:
            count += 1
            target = folder / f"{stem}-{count}.png"
        taken.add(_folded(target.absolute()))
        names[source] = target
    return names


def _folded(path: Path) -> str:
    # Two names that differ in case only are one file on some systems.
    return os.path.normpath(path).casefold()


def _read_stdin(limits: ImageLimits) -> bytes:
    try:
        # One byte more than allowed is enough to know, and what follows need not fit into memory.
        return sys.stdin.buffer.read(limits.max_bytes + 1)
    except (AttributeError, OSError) as error:  # AttributeError: a parent process closed it, and there is none
        raise InputError("cannot read standard input; give it a photo, as in: binsight predict - < can.jpg") from error


def _writer(form: str | None, predictor: Predictor, top: int | None) -> Writer:
    from binsight.cli.results import CsvWriter, JsonWriter, TableWriter

    if form == "json":
        return JsonWriter(top)
    if form == "csv":
        return CsvWriter(predictor.taxonomy.ids, top)
    return TableWriter({c.id: c.title for c in predictor.taxonomy.classes}, top)
