"""`binsight data split`: train, val and test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.data_options import dataset_options, load_dataset, photo_cache
from binsight.cli.data_scan import print_counts
from binsight.cli.options import FILE, FOLDER, Command, NumberRange, json_option, option, seed_option
from binsight.cli.progress import progress_bar
from binsight.cli.text import open_console, plain, print_json
from binsight.errors import DatasetError

if TYPE_CHECKING:
    from binsight.dataset import Dataset
    from binsight.dataset.split import Share

__all__ = ["split"]


@click.command(cls=Command, renamed={"--to": "--folders"})
@dataset_options
@option("--val", type=NumberRange(0, 1, max_open=True), default=0.1, help="Share for val.")
@option("--test", type=NumberRange(0, 1, max_open=True), default=0.15, help="Share for test.")
@seed_option("Another seed gives another split.")
@option(
    "--duplicates",
    type=click.Choice(["near", "exact"]),
    default="near",
    help="What is kept together: altered copies too, or the same bytes only, which is much faster.",
)
@option("--out", type=FILE, help="The manifest to write: .csv or .jsonl.")
@option("--materialize", type=click.Choice(["copy", "link"]), help="Also make folders, of copies or of links.")
@option("--folders", type=FOLDER, help="Where --materialize makes them.")
@option("--resplit", is_flag=True, help="Split anew what is split already.")
@option("--overwrite", is_flag=True, help="Replace FILE and DIR; DIR only if it was made by this command.")
@json_option()
def split(
    val: float,
    test: float,
    seed: int,
    duplicates: str,
    out: Path | None,
    materialize: str | None,
    folders: Path | None,
    resplit: bool,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Divide the photos in DATA into train, val and test, each class in the same proportions.

    A photo and its copies, also flipped, rescaled, recompressed or slightly cropped, are kept on one side, and so are
    rows with the same word in a manifest's column group. The same photos and seed give the same split. Photos that
    cannot be read get no split.

    The result is a manifest; no photo is moved. --materialize makes folders train/CLASS/... beside it.

    \b
    Examples:
      binsight data split photos/ --out split.csv
      binsight data split photos/ --val 0.2 --test 0 --seed 3 --out split.jsonl
      binsight data split photos/ --materialize link --folders photos-split/
      binsight data split old.csv --resplit --out new.csv
    """
    from binsight.dataset import write_manifest
    from binsight.dataset.materialise import materialise
    from binsight.dataset.split import split as divide
    from binsight.dataset.split import split_shares

    if out is None and materialize is None:
        raise click.UsageError("say where the result goes: --out FILE, or --materialize copy|link --folders DIR")
    if (materialize is None) != (folders is None):
        raise click.UsageError("--materialize copy|link and --folders DIR go together")
    found = load_dataset(**options)
    if found.splits and not resplit:
        raise DatasetError(f"{found.root} is split already ({', '.join(found.splits)}); pass --resplit to do it anew")
    groups = _near_duplicates(found, options) if duplicates == "near" else None
    divided = divide(found, val=val, test=test, seed=seed, groups=groups)
    if out is not None:
        write_manifest(divided, out, overwrite=overwrite)
    if folders is not None:
        with progress_bar("Copying" if materialize == "copy" else "Linking", quiet=options["quiet"]) as progress:
            materialise(divided, folders, mode=materialize, overwrite=overwrite, progress=progress)  # type: ignore[arg-type]  # click admits only the modes
    shares = split_shares(divided, val=val, test=test)
    if as_json:
        print_json(_describe(divided, shares, seed, out, folders))
    else:
        _print(divided, shares, out, folders)


def _near_duplicates(found: Dataset, options: dict[str, Any]) -> Any:
    from binsight.dataset.duplicates import duplicate_groups

    with progress_bar("Looking for copies", quiet=options["quiet"]) as progress:
        return duplicate_groups(
            found,
            cache=photo_cache(options["cache"], no_cache=options["no_cache"]),
            workers=options["workers"],
            progress=progress,
        )


def _group_sizes(divided: Dataset) -> list[int]:
    return sorted(Counter(s.extra["group"] for s in divided if s.split and "group" in s.extra).values(), reverse=True)


def _describe(divided: Dataset, shares: list[Share], seed: int, out: Path | None, to: Path | None) -> dict[str, Any]:
    return {
        "manifest": None if out is None else str(out),
        "folder": None if to is None else str(to),
        "seed": seed,
        "photos": {part: sum(s.split == part for s in divided) for part in divided.splits},
        "left_out": [{"path": s.path, "code": s.error_code, "message": s.error} for s in divided if s.split is None],
        "groups": len(_group_sizes(divided)),
        "photos_in_groups": sum(_group_sizes(divided)),
        "shares": [
            {"class": s.class_id, "split": s.split, "photos": s.photos, "share": round(s.share, 4), "wanted": s.wanted}
            for s in shares
        ],
    }


def _print(divided: Dataset, shares: list[Share], out: Path | None, to: Path | None) -> None:
    print_counts(open_console(), divided)
    sizes = _group_sizes(divided)
    if sizes:
        click.echo(
            f"{sum(sizes):,} photos are in {len(sizes):,} groups of copies, {sizes[0]:,} in the largest; each group is "
            "on one side."
        )
    totals = Counter(s.class_id for s in divided if s.error is None)
    for share in shares:
        if share.is_off(totals[share.class_id]):
            click.echo(
                f"note: {share.split} has {share.share:.1%} of {plain(share.class_id)} instead of {share.wanted:.1%}: "
                "its groups do not allow it better"
            )
        elif share.wanted > 0 and share.photos == 0:
            click.echo(
                f"note: {share.split} has no {plain(share.class_id)}: there are only {totals[share.class_id]:,} photos"
            )
    if left := sum(s.split is None for s in divided):
        click.echo(f"{left:,} photos cannot be read and have no split; binsight data scan lists them.")
    for target in (out, to):
        if target is not None:
            click.echo(f"written: {plain(str(target))}")
