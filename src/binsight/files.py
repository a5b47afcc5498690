"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from binsight.errors import DiskFullError, OutputError
from binsight.system_errors import describe_os_error

__all__ = ["replace_whole", "replacing", "write_whole"]


def write_whole(path: str | Path, data: str | bytes, *, overwrite: bool = True) -> None:
    """Write a file whole or not at all; missing folders are made.

    Args:
        path: where to.
        data: what it holds; text as UTF-8, names in it that are none with escapes.
        overwrite: replace a file that is there.

    Raises:
        OutputError: `path` exists and `overwrite` is false, or it cannot be written.
        DiskFullError: there is no room for it.
    """
    with replacing(Path(path), overwrite=overwrite) as file:
        file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A draft beside `path`, which takes its place when all is written.

    Raises:
        OutputError, DiskFullError: as `write_whole`.
    """
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"{path} exists; pass --overwrite to replace it")
    draft = path.with_name(f".{uuid.uuid4().hex}")  # not longer than a name may be, as that of `path` may already be
    try:
        _make_folder(path.parent)
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        kind = DiskFullError if error.errno in {errno.ENOSPC, errno.EDQUOT} else OutputError
        raise kind(f"cannot write {path}: {describe_os_error(error, named=False)}") from error
    finally:
        with contextlib.suppress(OSError):  # its folder may be none
            draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_whole(out: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a draft beside `out`, a file or a folder, then put the draft in the place of `out`.

    Missing folders above it are made.

    Raises:
        OSError: it cannot be written; what was at `out` is as it was.
    """
    _make_folder(out.parent)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".binsight-") as workplace:
        draft = Path(workplace, "new")
        write(draft)
        if not out.is_dir():
            draft.replace(out)
            return
        # A folder cannot be replaced in one step: the old one steps aside first, and is deleted with `workplace`.
        old = out.rename(Path(workplace, "old"))
        try:
            draft.replace(out)
        except OSError:
            old.rename(out)
            raise


def _make_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
