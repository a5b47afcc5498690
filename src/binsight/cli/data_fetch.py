"""`binsight data fetch`: public sets of waste photos."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import FILE, FOLDER, Command, json_option, option, quiet_option
from binsight.cli.progress import stages
from binsight.cli.text import markup, new_table, open_console, plain, print_json
from binsight.text_files import read_text

if TYPE_CHECKING:
    from binsight.dataset.catalog import Catalogue, PublicSet
    from binsight.dataset.fetch import Fetched

__all__ = ["fetch"]


@click.command(cls=Command, renamed={"--to": "--out", "--force": "--overwrite"})
@click.argument("name", required=False)
@option("--out", type=FOLDER, help="The folder to bring it to.")
@option("--list", "as_list", is_flag=True, help="Show which sets there are, with licence and size.")
@option("--catalogue", type=FILE, help="A catalogue of your own, in the format of docs/datasets.md.")
@option("--overwrite", is_flag=True, help="Fetch it again though it is there.")
@option("--keep-archives", is_flag=True, help="Keep the downloaded archives in DIR/.download.")
@json_option()
@quiet_option()
def fetch(
    name: str | None,
    out: Path | None,
    as_list: bool,
    catalogue: Path | None,
    overwrite: bool,
    keep_archives: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Download the public set NAME, check it, and write manifests of its classes and of those of waste8.

    Interrupted, the same command continues. A file whose checksum is not known yet has it recorded in
    DIR/binsight-lock.json the first time and must match ever after. Without a connection, the message says which file
    to put where. Sets from Kaggle need the extra binsight[data]; some also need an account there.

    Look at the licence before you use a set, and before you publish a model that was trained on it.

    \b
    Examples:
      binsight data fetch --list
      binsight data fetch trashnet --out data/trashnet
      binsight data fetch taco --out data/taco --keep-archives
      binsight data scan data/trashnet/waste8.csv
    """
    from binsight.dataset.fetch import fetch as fetch_set

    sets = _catalogue(catalogue)
    if as_list or name is None:
        _print_catalogue(sets, as_json=as_json)
        return
    public_set = sets.find(name)
    if out is None:
        raise click.UsageError(f"say where to: binsight data fetch {name} --out DIR")
    if not as_json:
        click.echo(f"{public_set.title}\nlicence: {public_set.licence}", err=True)
    with stages(quiet=quiet or as_json) as report:
        fetched = fetch_set(public_set, out, report=report, force=overwrite, keep_archives=keep_archives)
    if as_json:
        print_json({"set": public_set.name, **asdict(fetched), "folder": str(fetched.folder)})
    else:
        _print(public_set, fetched)


def _catalogue(path: Path | None) -> Catalogue:
    from binsight.dataset.catalog import Catalogue

    if path is None:
        return Catalogue.builtin()
    return Catalogue.from_toml(read_text(path))


def _print_catalogue(sets: Catalogue, *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(s) for s in sets.sets.values()])
        return
    table = new_table("Name", "What", "Photos", "Download", "From", "Licence")
    for s in sets.sets.values():
        size = f"{s.download_bytes / 1e6:,.0f} MB" if s.download_bytes else "?"
        photos = f"{s.photos:,}" if s.photos else "?"
        what = f"{markup(s.title)}\n{markup(s.home)}"
        source = "Kaggle" if s.kaggle else "web"
        table.add_row(markup(s.name), what, photos, size, source, markup(s.licence), end_section=True)
    open_console().print(table)


def _print(public_set: PublicSet, fetched: Fetched) -> None:
    lines = [f"{'already there' if fetched.was_there else 'fetched'}: {fetched.photos:,} photos in {fetched.folder}"]
    if public_set.photos and not public_set.crops and public_set.photos != fetched.photos:
        lines.append(f"note: {public_set.photos:,} photos were expected; this may be another version of the set")
    if fetched.unreadable:
        lines.append(f"{fetched.unreadable:,} of them cannot be read; binsight data scan lists them")
    lines.append("manifest.csv: " + ", ".join(f"{n:,} {name}" for name, n in fetched.classes.items()))
    if fetched.mapped:
        lines.append("waste8.csv: " + ", ".join(f"{n:,} {name}" for name, n in fetched.mapped.items()))
    if fetched.without_counterpart:
        lines.append("not in waste8.csv: " + ", ".join(f"{n:,} {k}" for k, n in fetched.without_counterpart.items()))
    if fetched.crops:
        lines.append("objects: " + ", ".join(f"{n:,} {outcome}" for outcome, n in fetched.crops.items()))
    click.echo("\n".join(plain(line) for line in lines))
