"""What the data commands have in common: which data set, which taxonomy, the cache, the progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.errors import InputError, TaxonomyError

if TYPE_CHECKING:
    from binsight.dataset import Dataset
    from binsight.dataset.fetch import Reporter
    from binsight.dataset.samples import Progress
    from binsight.taxonomy import Taxonomy

__all__ = ["bar_reporter", "dataset_options", "load_dataset", "load_taxonomy", "progress_bar", "user_cache_dir"]

_BAR_FROM = 200  # photos; fewer are done before a bar could be read
_AUTO, _NONE = "auto", "none"

Command = Callable[..., None]


def dataset_options(command: Command) -> Command:
    """The argument DATA and the options of every command that reads a data set."""
    options: list[Callable[[Command], Command]] = [
        click.argument("data", metavar="DATA", type=click.Path(path_type=Path)),
        click.option(
            "--taxonomy",
            default=_AUTO,
            metavar="NAME|FILE",
            help="What the class names are matched to: waste8, a TOML file, or none to take the names as they are. By "
            "default taxonomy.toml beside the photos, else waste8 if it has them all, else none.",
        ),
        click.option(
            "--cache",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="BINSIGHT_SCAN_CACHE",
            show_envvar=True,
            metavar="FILE",
            help="Where facts about photos are remembered.  [default: in your cache folder]",
        ),
        click.option("--no-cache", is_flag=True, help="Remember nothing and look at every photo again."),
        click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Cores to use.  [default: all]"),
        click.option("-q", "--quiet", is_flag=True, help="No progress bar."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


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
        cache: the scan cache; by default in the user's cache folder.
        no_cache: use none.
        workers: threads.
        quiet: no progress bar.
        decode: decode every photo.
    """
    from binsight.dataset import scan
    from binsight.dataset.labels import adopt_taxonomy

    chosen = _find_taxonomy(data) if taxonomy == _AUTO else load_taxonomy(taxonomy)
    with progress_bar("Scanning", quiet=quiet) as progress:
        found = scan(
            data,
            taxonomy=chosen,
            cache=None if no_cache else cache or user_cache_dir() / "scan.sqlite",
            progress=progress,
            workers=workers,
            decode=decode,
        )
    if chosen is None and taxonomy == _AUTO:
        builtin = load_taxonomy("waste8")
        try:
            return adopt_taxonomy(found, builtin) if builtin else found
        except TaxonomyError as error:
            _mention_near_miss(found, str(error), quiet=quiet)
    return found


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
    try:
        return Taxonomy.from_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TaxonomyError(f"{path}: expected UTF-8 text: {error}") from error


def user_cache_dir() -> Path:
    """Where this user's programs keep what can be made again; `XDG_CACHE_HOME` decides where it is set."""
    if root := os.environ.get("XDG_CACHE_HOME"):
        return Path(root) / "binsight"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "binsight" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "binsight"
    return Path.home() / ".cache" / "binsight"


@contextmanager
def progress_bar(title: str, *, quiet: bool, is_bytes: bool = False) -> Iterator[Progress]:
    """A progress bar on standard error, if a person is there to see it and there is enough to do.

    Args:
        title: what is being done.
        quiet: show none.
        is_bytes: the numbers are bytes.

    Yields:
        A function to call with what is done and what there is to do.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    amount: ProgressColumn = DownloadColumn() if is_bytes else MofNCompleteColumn()
    columns: tuple[Any, ...] = (TextColumn(title), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = None

        def update(done: int, total: int) -> None:
            nonlocal task
            if task is None and total >= _BAR_FROM:
                task = bar.add_task("", total=total)
            if task is not None:
                bar.update(task, completed=done, total=total)

        yield update


@contextmanager
def bar_reporter(*, quiet: bool) -> Iterator[Reporter]:
    """Progress bars one after another: each begins when the next thing does."""
    with ExitStack() as bars:

        def report(what: str) -> Progress:
            bars.close()
            return bars.enter_context(progress_bar(what, quiet=quiet, is_bytes=what.startswith("Downloading")))

        yield report


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
