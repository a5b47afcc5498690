"""`binsight line simulate`: a line without hardware."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import FILE, FOLDER, json_option, model_option, option, quiet_option, seed_option
from binsight.cli.progress import progress_bar
from binsight.cli.text import new_table, open_console, print_json
from binsight.errors import InputError
from binsight.extras import needs_extra

if TYPE_CHECKING:
    from binsight.line.engine import Picture
    from binsight.line.simulate.result import SimulationResult
    from binsight.line.simulate.shift import Shift
    from binsight.taxonomy import Taxonomy

__all__ = ["simulate"]

_PHOTOS = Path("examples/photos")


@click.command()
@option("--pieces", section="Belt", type=click.IntRange(1, 10_000_000), default=200, metavar="N",
        help="Pieces on the belt.")  # fmt: skip
@option("--rate", section="Belt", type=click.FloatRange(0.001, 20), default=4.0, metavar="R",
        help="Pieces a second.")  # fmt: skip
@option("--overlap", section="Belt", type=click.FloatRange(0, 1), default=0.0, metavar="SHARE",
        help="Share of pieces that lie on the one before.")  # fmt: skip
@option("--photos", section="Belt", type=FOLDER,
        help="Photos that stand for pieces, in folders by class.  [default: examples/photos]")  # fmt: skip
@option("--script", section="Belt", type=FILE, help="What fails when: a TOML file, see docs/line.md.")
@seed_option("Of photos, places, noise and what the sorter does.")
@model_option("The model that looks.")
@option(
    "--ledger", metavar="URL", help="Keep the ledger: sqlite:///FILE or postgresql+psycopg://….  [default: thrown away]"
)
@option("--picture", section="Output", type=FILE, help="Write a frame with boxes, ids and lanes (PNG, JPEG).")
@option("--html", section="Output", type=FILE, help="Write a page with every piece and its picture.")
@json_option("Print the result as one JSON object.")
@quiet_option()
@needs_extra("a line", "line")
def simulate(
    pieces: int,
    rate: float,
    overlap: float,
    photos: Path | None,
    script: Path | None,
    seed: int,
    model: str,
    ledger: str | None,
    picture: Path | None,
    html: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a line on a simulated belt with real photos, and hold its ledger against the sorter's own books.

    The pictures are rendered, and the true detector, tracker, model, ledger and state machine run on them in virtual
    time. Exit code 1: a piece was lost or doubled, or the two accounts disagree.

    \b
    Examples:
      binsight line simulate                                  200 pieces, four a second
      binsight line simulate --picture belt.png               and a picture of it
      binsight line simulate --pieces 10000 --rate 10 --script faults.toml
      binsight line simulate --photos my-waste/ --json
    """
    from binsight.cli.pictures import picture_format
    from binsight.line.simulate.plan import read_faults
    from binsight.line.simulate.shift import Shift

    if picture is not None:
        picture_format(picture)  # before the work, not after it
    faults = read_faults(script) if script is not None else []
    shift = Shift(pieces, rate, seed=seed, faults=faults, overlap=overlap)
    with tempfile.TemporaryDirectory() as folder:
        url = ledger or f"sqlite:///{folder}/ledger.sqlite"
        result = _run(shift, model, photos, url, picture, html, quiet=quiet)
    if as_json:
        print_json(result.to_dict(), indent=None)
    else:
        _print(result)
    if result.faults:
        sys.exit(1)


def _run(
    shift: Shift, model: str, photos: Path | None, url: str, picture: Path | None, html: Path | None, *, quiet: bool
) -> SimulationResult:
    from binsight.line.ledger.database import open_database
    from binsight.line.simulate.photos import read_photos
    from binsight.line.simulate.shift import read_rows
    from binsight.line.simulate.shift import simulate as run_shift
    from binsight.predictor import Predictor

    predictor = Predictor.load(model, threads=1)
    images = read_photos(_PHOTOS if photos is None else photos, predictor.taxonomy, most=500, seed=shift.seed)
    open_database(url).dispose()
    if read_rows(url):
        raise InputError(f"expected an empty ledger for a simulation, got one with pieces in it: {url}")
    keeper = _PictureKeeper(shift.pieces)
    with progress_bar("Pieces", quiet=quiet) as update:
        result = run_shift(
            shift,
            predictor=predictor,
            photos=images,
            ledger_url=url,
            on_progress=lambda done: update(done, shift.pieces),
            on_picture=keeper.take if picture is not None or html is not None else lambda _: None,
        )
    _write_pictures(keeper, shift, predictor.taxonomy, url, picture, html)
    return result


class _PictureKeeper:
    """Keeps the frame in which the most decided pieces are seen, after the first few."""

    def __init__(self, pieces: int) -> None:
        self.best: Picture | None = None
        self._most, self._from = 0.0, min(12, pieces // 3)

    def take(self, picture: Picture) -> None:
        """Compare one more."""
        decided = [piece for piece in picture.pieces.values() if piece.decision is not None]
        good = len(decided) + 0.5 * len({piece.lane for piece in decided})
        if good > self._most and any(piece.seq >= self._from for piece in decided):
            self.best, self._most = picture, good


def _write_pictures(
    keeper: _PictureKeeper, shift: Shift, taxonomy: Taxonomy, url: str, picture: Path | None, html: Path | None
) -> None:
    from binsight.cli.pictures import write_picture
    from binsight.line.drawing import draw_picture
    from binsight.line.gallery import write_gallery
    from binsight.line.simulate.shift import simulated_config

    config = simulated_config(shift, taxonomy)
    drawn = None if keeper.best is None else draw_picture(keeper.best, config)
    if picture is not None:
        if drawn is None:
            raise InputError("no piece was decided, so there is no picture to write")
        write_picture(picture, drawn)
    if html is not None:
        write_gallery(html, url, config, title="Simulated belt", picture=drawn)


def _print(result: SimulationResult) -> None:
    console = open_console()
    table = new_table("pieces on the belt", f"{result.pieces:,}")
    table.columns[1].justify = "right"
    rows = [
        ("counted once", result.counted_once),
        ("touching one that was counted", result.with_others),
        ("unseen: camera or line was away", result.unseen_blind),
        ("unseen: missed", result.unseen),
        ("counted more than once", result.counted_twice),
        ("counted, and no piece was there", result.phantoms),
    ]
    for name, value in rows:
        table.add_row(name, f"{value:,}")
    console.print(table)
    table = new_table("end", "pieces")
    table.columns[1].justify = "right"
    for status, count in sorted(result.ends.items(), key=lambda item: -item[1]):
        table.add_row(status, f"{count:,}")
    table.add_row(
        "sum = pieces seen" if sum(result.ends.values()) == result.seen else "SUM IS WRONG", f"{result.seen:,}"
    )
    console.print(table)
    table = new_table("lane", "in it", "right", "purity")
    for lane in result.lanes:
        purity = "" if lane.purity is None else f"{lane.purity:.1%}"
        table.add_row(f"{lane.number} {lane.name}", f"{lane.pieces:,}", f"{lane.right:,}", purity)
    console.print(table)
    if result.accepted:
        console.print(f"accepted and right: {result.accepted_right / result.accepted:.1%} of {result.accepted:,}")
    if result.latency_ms:
        times = ", ".join(f"{name} {value:.0f}" for name, value in result.latency_ms.items())
        console.print(f"capture to command, ms of virtual time: {times}")
    console.print(
        f"sorter: {result.commanded:,} commands, fired {result.fired:,} times, missed {result.missed:,} times"
    )
    if not result.faults:
        console.print("ledger and sorter agree piece by piece; nothing is lost, nothing is doubled")
    for fault in result.faults[:20]:
        console.print(f"FAULT: {fault}", markup=False)
