"""`binsight data explore`: pictures of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from binsight.cli.data_options import dataset_options, load_dataset
from binsight.cli.options import FOLDER, Command, json_option, model_option, option, seed_option
from binsight.cli.progress import stages
from binsight.cli.text import plain, print_json

__all__ = ["explore"]


@click.command(cls=Command, renamed={"--max-photos": "--limit"})
@dataset_options
@option("--out", required=True, type=FOLDER, help="Where to draw.")
@model_option("The model whose features make the map.")
@option("--no-map", is_flag=True, help="Draw no map; nothing is classified.")
@option(
    "--limit",
    "max_photos",
    type=click.IntRange(min=10),
    default=4000,
    metavar="N",
    help="Make mean photos and map of at most N photos, of each class its share.",
)
@seed_option("Chooses the photos that are shown.")
@option("--overwrite", is_flag=True, help="Draw over what is in DIR.")
@json_option()
def explore(
    out: Path, model: str, no_map: bool, max_photos: int, seed: int, overwrite: bool, as_json: bool, **options: Any
) -> None:
    """Draw what the photos in DATA look like: PNG files in DIR, and one page with all of them, index.html.

    Counts by class and split, samples, the mean photo of each class, sizes, proportions, resolution, compression, and a
    map on which photos that the model finds alike lie close together. Needs the extra binsight[data].

    \b
    Examples:
      binsight data explore photos/ --out pictures/
      binsight data explore split.csv --out pictures/ --limit 1000 --overwrite
      binsight data explore photos/ --out pictures/ --no-map
    """
    from binsight.dataset.explore import explore as draw
    from binsight.predictor import Predictor

    found = load_dataset(**options)
    # One thread for each photo, as many photos at a time as there are cores: the most photos a second.
    predictor = None if no_map else Predictor.load(model, threads=1)
    with stages(quiet=options["quiet"]) as report:
        drawn = draw(
            found,
            out,
            predictor=predictor,
            max_photos=max_photos,
            seed=seed,
            workers=options["workers"],
            report=report,
            overwrite=overwrite,
        )
    if as_json:
        answer = {
            "page": str(drawn.page),
            "pictures": [str(p) for p in drawn.pictures],
            "map": None if drawn.places is None else str(drawn.places),
            "looked_at": drawn.looked_at,
            "unreadable": [{"path": path, "message": reason} for path, reason in drawn.unreadable],
        }
        print_json(answer)
        return
    click.echo(f"{len(drawn.pictures)} pictures of {len(found):,} photos: {plain(str(drawn.page))}")
    for path, reason in drawn.unreadable:
        click.echo(f"  {plain(path)}: {plain(reason)}")
