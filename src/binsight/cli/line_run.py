"""`binsight line run`: watch a belt, or look at a recording."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from binsight.cli.line_settings import account, bundle_of, ledger_url, read_config
from binsight.cli.options import FILE, json_option, option, quiet_option
from binsight.cli.progress import progress_bar
from binsight.cli.server_options import server_flag, server_value
from binsight.cli.signals import stopping_on_signals
from binsight.cli.text import new_table, open_console, plain
from binsight.errors import InputError, SettingsError
from binsight.extras import needs_extra
from binsight.serving.settings import Settings as ServerSettings
from binsight.serving.settings import server_options

if TYPE_CHECKING:
    from binsight.line.config import LineConfig
    from binsight.line.engine import Picture
    from binsight.line.ports import Clock, Source
    from binsight.line.records import Piece
    from binsight.line.settings import CameraSettings
    from binsight.predictor import Predictor
    from binsight.taxonomy import Taxonomy

__all__ = ["run"]

_ACCESS = {
    setting.name: setting for setting in server_options() if setting.name in {"tls_certificate", "tls_key", "api_keys"}
}


@click.command()
@click.argument("file", type=FILE, required=False, metavar="[LINE.TOML]")
@option("--source", section="Camera", metavar="SOURCE",
        help="rtsp://…, /dev/video0, a video file, http://… (a JPEG), mjpeg http://…, folder:DIR.")  # fmt: skip
@option("--direction", section="Camera", type=click.Choice(["right", "left", "up", "down"]),
        help="Where the belt carries pieces in the picture.  [recording without LINE.TOML: measured]")  # fmt: skip
@option(
    "--field-mm",
    section="Camera",
    type=click.FloatRange(1),
    metavar="MM",
    help="How much belt the picture shows along it.",
)
@option("--speed", section="Camera", type=click.FloatRange(0.1), metavar="MM/S",
        help="Of the belt.  [recording without LINE.TOML: measured]")  # fmt: skip
@option("--sorter", type=click.Choice(["none"]), help="none: only look, whatever LINE.TOML says.")
@option("--model", metavar="BUNDLE", help="The model that looks.  [default: that of LINE.TOML, or waste8]")
@option("--http", section="Output", type=click.IntRange(0, 65_535), metavar="PORT",
        help="Serve the dashboard at http://HOST:PORT/lines; 0 takes a free port.")  # fmt: skip
@option("--http-host", section="Output", default="127.0.0.1", metavar="HOST",
        help="Address for --http; 0.0.0.0 or :: lets other machines in.")  # fmt: skip
@option("--ledger", metavar="URL", help="sqlite:///FILE or postgresql+psycopg://….  [default: beside LINE.TOML]")
@option("--out", section="Output", type=FILE,
        help="Of a look: an annotated video (.mp4, .mkv, .webm), or a page with every piece (.html).")  # fmt: skip
@json_option("Print a JSON object for each piece, as soon as it has its end.")
@quiet_option()
@needs_extra("a line", "line")
def run(
    file: Path | None,
    source: str | None,
    direction: str | None,
    field_mm: float | None,
    speed: float | None,
    sorter: str | None,
    model: str | None,
    ledger: str | None,
    http: int | None,
    http_host: str,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **access: Any,
) -> None:
    """Run the line of LINE.TOML until SIGTERM or Ctrl-C, or to the end of a recording.

    A video file or folder without a sorter is a look: every frame is gone through as fast as it goes, and what was
    seen comes out as a table, an annotated video or a page. Without LINE.TOML, the direction and speed of the belt are
    measured in the recording. A line that could not be in time, or asks for classes that the model does not know, is
    refused; `binsight line check` shows why.

    \b
    Examples:
      binsight line run --source video.mp4 --out seen.mp4      one's own video, with boxes, ids and categories
      binsight line run --source folder:frames/ --out seen.html
      binsight line run line.toml                              the line, as it is set up
      binsight line run line.toml --http 9696                  the same, with its dashboard
      binsight line run line.toml --http 9696 --http-host 0.0.0.0 --api-keys keys
      binsight line run line.toml --sorter none                the same, but only looking
    """
    config = read_config(
        file,
        line={"model": model},
        camera={"source": source, "direction": direction, "field_mm": field_mm},
        belt={"speed_mm_s": speed},
        sorter={"kind": sorter},
        ledger={"url": ledger},
    )
    if file is None and source is None:
        raise click.UsageError("expected a LINE.TOML, or --source with a camera or a recording")
    printer = _Printer(as_json=as_json)
    source = config.camera.source
    is_look = config.sorter.kind == "none" and (source.startswith("folder:") or Path(source).is_file())
    if out is not None and not is_look:
        raise click.UsageError("--out is for a recording without a sorter; a line's own account is its ledger")
    if not is_look:
        _run_line(config, file, printer, http=_server(config, file, http_host, http, access))
        return
    if http is not None:
        raise click.UsageError("--http is for a line; a look at a recording ends with what --out shows")
    _check_out(out)  # before the work, not after it
    predictor = _load(config, file)
    if file is None:
        config = _measured(config, direction=direction, speed=speed, quiet=quiet or as_json)
    with tempfile.TemporaryDirectory() as folder:
        # Without a file, nobody asked for an account that stays.
        url = ledger_url(config, file) if file or ledger else f"sqlite:///{folder}/ledger.sqlite"
        _look(config, predictor, url, out, printer, quiet=quiet)


class _Printer:
    """Says what became of each piece, as JSON lines; else counts for a table at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.counts: Counter[tuple[str, str]] = Counter()

    def take(self, piece: Piece) -> None:
        """One more state of a piece."""
        from binsight.line.messages import piece_message
        from binsight.line.records import ENDS

        if piece.status not in ENDS:
            return
        self.counts[piece.category or "not known", piece.decision or "late"] += 1
        if self._as_json:
            sys.stdout.write(json.dumps(piece_message(piece)) + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        """Print the table."""
        if self._as_json:
            return
        console, table = open_console(), new_table("category", "sure", "to review")
        for category in sorted({category for category, _ in self.counts}):
            sure = self.counts[category, "accept"]
            table.add_row(
                category, f"{sure:,}", f"{sum(self.counts[key] for key in self.counts if key[0] == category) - sure:,}"
            )
        console.print(table)


# A look at a recording.


def _measured(config: LineConfig, *, direction: str | None, speed: float | None, quiet: bool) -> LineConfig:
    """The settings with the direction and speed that are seen in the recording, where they were not given."""
    from binsight.line.sources.survey import measure_motion

    if direction is not None and speed is not None:
        return config
    motion = measure_motion(_recording(config))
    if motion is None:
        if not quiet:
            click.echo("note: nothing is seen to move evenly; the belt's speed and direction are guesses", err=True)
        return config
    direction = direction or motion.direction
    speed = speed or motion.field_per_s * config.camera.field_mm
    if not quiet:
        share = speed / config.camera.field_mm
        click.echo(f"belt: pieces move {direction}, {share:.0%} of the picture a second", err=True)
    return read_config(
        None,
        **config.model_dump(exclude_unset=True, exclude={"camera", "belt"}),
        camera={**config.camera.model_dump(exclude_unset=True), "direction": direction},
        belt={**config.belt.model_dump(exclude_unset=True), "speed_mm_s": speed},
    )


def _recording(config: LineConfig) -> Any:
    from binsight.line.clock import SystemClock
    from binsight.line.sources.opening import open_source

    camera = config.camera
    return open_source(camera.source, SystemClock(), frames_per_second=camera.frames_per_second, every_frame=True)


def _check_out(out: Path | None) -> None:
    from binsight.line.recorder import VIDEO_SUFFIXES

    if out is not None and out.suffix.lower() not in {".html", *VIDEO_SUFFIXES}:
        raise InputError(f"expected --out with {', '.join(sorted(VIDEO_SUFFIXES))} or .html, got {out}")


def _look(
    config: LineConfig, predictor: Predictor, url: str, out: Path | None, printer: _Printer, *, quiet: bool
) -> None:
    from binsight.line.detect import Detector
    from binsight.line.drawing import draw_picture
    from binsight.line.gallery import write_gallery
    from binsight.line.ledger.database import open_database
    from binsight.line.ledger.writer import LedgerWriter
    from binsight.line.looking import look
    from binsight.line.recorder import VIDEO_SUFFIXES, recording
    from binsight.line.sources.survey import learn_belt

    suffix = "" if out is None else out.suffix.lower()
    camera = config.camera
    detector = Detector(**camera.view)
    belt = learn_belt(_recording(config), detector)
    ledger = LedgerWriter(open_database(url), threaded=False)
    best: list[Picture] = []

    def keep(picture: Picture) -> None:
        if picture.pieces and len(picture.pieces) >= len(best[0].pieces if best else ()):
            best[:] = [picture]

    try:
        opened = recording(out) if out is not None and suffix in VIDEO_SUFFIXES else contextlib.nullcontext()
        with opened as video, progress_bar("Frames", quiet=quiet) as update:
            found = look(
                config,
                predictor=predictor,
                ledger=ledger,
                empty_belt=belt,
                on_piece=printer.take,
                on_picture=keep if video is None else lambda p: video.add(draw_picture(p, config), p.frame.captured_s),
                on_progress=lambda done: update(done, 0),
            )
    finally:
        ledger.close()
    if found.frames == 0:
        raise InputError(f"expected frames in {camera.source}, found none that can be read")
    if out is not None and suffix == ".html":
        drawn = draw_picture(best[0], config) if best else None
        write_gallery(out, url, config, title=Path(camera.source).name, picture=drawn)
    printer.close()
    click.echo(f"{found.pieces:,} pieces in {found.frames:,} frames ({found.seconds:.0f} s)", err=True)
    if found.broken:
        click.echo(f"note: {found.broken:,} frames could not be decoded", err=True)
    if not found.belt_known:
        click.echo("note: the belt was never seen empty enough to find pieces on it; see docs/line.md", err=True)


# The line itself.


def _server(
    config: LineConfig, file: Path | None, host: str, port: int | None, access: dict[str, Any]
) -> ServerSettings | None:
    """The dashboard's server; None where nobody asked for one."""
    if port is None:
        source = click.get_current_context().get_parameter_source
        if any(source(name) is ParameterSource.COMMANDLINE for name in access):
            raise click.UsageError("keys and certificates are for --http PORT")
        return None
    values = {name: server_value(_ACCESS[name], given) for name, given in access.items()}
    # The line needs the cores; one photo at a time, by the line's own network, is what others get.
    return ServerSettings(
        models=(bundle_of(config, file),), host=host, port=port, workers=1, access_log=False, **values
    )


def _run_line(config: LineConfig, file: Path | None, printer: _Printer, *, http: ServerSettings | None) -> None:
    import logging

    from binsight.cli.line_watch import LineWatch
    from binsight.line.clock import SystemClock
    from binsight.line.ledger.database import open_database
    from binsight.line.ledger.writer import LedgerWriter
    from binsight.line.memory import LineMemory
    from binsight.line.run import LineRunner
    from binsight.line.sorters.opening import open_sorter

    # Its own, gone after the check: where there is a server, the line uses that one's.
    taxonomy = _check_start(config, _load(config, file))
    clock = SystemClock()
    # The camera first: what cannot be opened must not leave an empty ledger behind.
    source = _open_camera(config.camera, clock)
    logging.basicConfig(format="binsight: %(message)s", level=logging.WARNING)
    url = ledger_url(config, file)
    sorter = open_sorter(config, clock)
    ledger = LedgerWriter(open_database(url), keep_days=config.ledger.keep_days)

    watch = LineWatch(config, url, taxonomy, clock)

    def take(piece: Piece) -> None:
        printer.take(piece)
        watch.monitor.on_piece(piece)

    with watch.serving(http) as server:
        predictor = server.service.store.get().narrow if server else _load(config, file)
        runner = LineRunner(
            config,
            predictor=predictor,
            source=source,
            sorter=sorter,
            ledger=ledger,
            clock=clock,
            memory=LineMemory(Path() if file is None else file.parent, config, predictor.bundle.manifest),
            on_piece=take,
            on_alarm=watch.on_alarm,
        )
        looking = watch.looking(runner, source=source, publish=sorter.publish)
        click.echo(plain(f"binsight: {config.line.name} watches {config.camera.source}"), err=True)
        with looking, stopping_on_signals(runner.stop):
            if server:
                click.echo(plain(f"binsight: {config.line.name} at {server.url}/lines"), err=True)
            runner.run()
    printer.close()


def _open_camera(camera: CameraSettings, clock: Clock) -> Source:
    from binsight.line.sources.opening import open_source

    return open_source(
        camera.source,
        clock,
        frames_per_second=camera.frames_per_second,
        open_timeout_s=camera.open_timeout_s,
        stalled_after_s=camera.stalled_after_ms / 1000,
    )


def _load(config: LineConfig, file: Path | None) -> Predictor:
    from binsight.predictor import Predictor

    return Predictor.load(bundle_of(config, file), threads=1)


def _check_start(config: LineConfig, predictor: Predictor) -> Taxonomy:
    """Refuse a line that could not be in time, or asks for what the model does not know."""
    from binsight.line.budget import start_faults

    faults = start_faults(config, account(config, predictor))
    if faults:
        raise SettingsError("the line could not be in time: " + "; ".join(faults))
    return predictor.taxonomy


run.params += map(server_flag, _ACCESS.values())
