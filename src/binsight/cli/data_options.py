"""What the data commands have in common: which data set, which taxonomy, the cache."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import FILE, PLACE, option, quiet_option, together, workers_option
from binsight.cli.progress import progress_bar
from binsight.cli.text import plain
from binsight.errors import TaxonomyError
from binsight.notes import Note
from binsight.text_files import read_text

if TYPE_CHECKING:
    from binsight.dataset import Dataset
    from binsight.taxonomy import Taxonomy

__all__ = ["dataset_options", "load_dataset", "load_taxonomy", "photo_cache", "print_notes", "user_cache_dir"]

_AUTO, _NONE = "auto", "none"


dataset_options = together(
    click.argument("data", metavar="DATA", type=PLACE),
    option(
        "--taxonomy",
        section="Photos",
        default=_AUTO,
        show_default=False,
        metavar="NAME|FILE",
        help="What the class names are matched to: waste8, a TOML file, or none to take the names as they are. By "
        "default taxonomy.toml beside the photos, else waste8 if it has them all, else none.",
    ),
    option(
        "--cache",
        section="Photos",
        type=FILE,
        envvar="BINSIGHT_SCAN_CACHE",
        show_envvar=True,
        help="Where facts about photos are remembered, an SQLite file.  [default: in your cache folder]",
    ),
    option("--no-cache", section="Photos", is_flag=True, help="Remember nothing and look at every photo again."),
    workers_option(),
    quiet_option(),
)
"""The argument DATA and the options of every command that reads a data set."""


def load_dataset(
    data: Path,
    *,
    taxonomy: str = _AUTO,
    cache: Path | None = None,
    no_cache: bool = False,
    workers: int | None = None,
    quiet: bool = False,
    decode: bool = False,
) -> Dataset:
    """Scan DATA as the options say; the parameters are those that `dataset_options` adds.

    Args:
        data: a folder or a manifest.
        taxonomy: a built-in name, a file, `none`, or `auto`.
        cache: what is remembered of photos; by default in the user's cache folder.
        no_cache: use none.
        workers: threads.
        quiet: no progress bar.
        decode: decode every photo.
    """
    from binsight.dataset import scan
    from binsight.dataset.labels import adopt_taxonomy
    from binsight.taxonomy import builtin_taxonomy

    chosen = _find_taxonomy(data) if taxonomy == _AUTO else load_taxonomy(taxonomy)
    with progress_bar("Scanning", quiet=quiet) as progress:
        found = scan(
            data,
            taxonomy=chosen,
            cache=photo_cache(cache, no_cache=no_cache),
            progress=progress,
            workers=workers,
            decode=decode,
        )
    if chosen is None and taxonomy == _AUTO:
        try:
            found = adopt_taxonomy(found, builtin_taxonomy())
        except TaxonomyError as error:
            _mention_near_miss(found, str(error), quiet=quiet)
    print_notes(found)
    return found


def print_notes(found: Dataset) -> None:
    """Say on standard error what a person should know of a data set, however quiet the command is to be."""
    for note in found.notes:
        click.echo(f"note: {plain(note)}", err=True)


def load_taxonomy(name: str) -> Taxonomy | None:
    """The taxonomy of a built-in name or a TOML file; None for `none`.

    Raises:
        InputError: the file cannot be read.
        TaxonomyError: there is no such built-in one, or the file is no taxonomy.
    """
    from binsight.taxonomy import Taxonomy, builtin_taxonomy

    if name == _NONE:
        return None
    path = Path(name)
    if path.suffix != ".toml":
        return builtin_taxonomy(name)
    return Taxonomy.from_toml(read_text(path))


def photo_cache(cache: Path | None, *, no_cache: bool) -> Path | None:
    """The file in which facts about photos are remembered; None where none is wanted, or there is no place for it.

    Args:
        cache: as asked for; by default in the user's cache folder.
        no_cache: remember nothing.
    """
    from binsight.dataset.cache import is_cache

    if no_cache or cache is not None:
        return None if no_cache else cache
    try:
        own = user_cache_dir() / "photos.sqlite"
        if not is_cache(own):
            own.unlink()  # what is in our own folder under our own name is ours, however damaged
    except (OSError, RuntimeError) as error:  # RuntimeError: this user has no home
        warnings.warn(Note(f"going on without a cache: {error}"), stacklevel=2)
        return None
    return own


def user_cache_dir() -> Path:
    """Where this user's programs keep what can be made again; `XDG_CACHE_HOME` decides where it is set."""
    if root := os.environ.get("XDG_CACHE_HOME"):
        return Path(root) / "binsight"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "binsight" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "binsight"
    return Path.home() / ".cache" / "binsight"


def _find_taxonomy(data: Path) -> Taxonomy | None:
    beside = (data if data.is_dir() else data.parent) / "taxonomy.toml"
    return load_taxonomy(str(beside)) if beside.is_file() else None


def _mention_near_miss(found: Dataset, message: str, *, quiet: bool) -> None:
    """Say so when most names are those of waste8: the others may be slips."""
    from binsight.taxonomy import builtin_taxonomy

    known = {name for name in found.classes if _matches(builtin_taxonomy(), name)}
    if not quiet and 2 * len(known) > len(found.classes):
        click.echo(f"note: class names are taken as they are: {message}", err=True)


def _matches(taxonomy: Taxonomy, name: str) -> bool:
    try:
        taxonomy.match(name)
    except TaxonomyError:
        return False
    return True
