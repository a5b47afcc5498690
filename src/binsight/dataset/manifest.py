"""A data set as a file: CSV or JSON lines, one row per photo.

`path` and `class` are required; `split` and the measured columns are understood; every other column is kept as it is. A
path is relative to the manifest's folder, or absolute. Specified in `docs/datasets.md`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from binsight.dataset.labels import is_split, resolve_classes, spelling_notes, split_name
from binsight.dataset.samples import Dataset, Sample
from binsight.errors import DatasetError, InputError, OutputError
from binsight.files import write_whole
from binsight.taxonomy import Taxonomy
from binsight.text_files import read_text, wrong_encoding

__all__ = ["MANIFEST_SUFFIXES", "check_encoding", "read_manifest", "write_manifest"]

MANIFEST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")

_TEXTS = ("sha256", "format", "error", "error_code")
_NUMBERS = ("width", "height", "bytes")
_MEASURED = ("sha256", "width", "height", "format", "bytes", "error", "error_code")
_UNDERSTOOD = {"path", "class", "split", "group", "source", "licence", "license"}
_KNOWN = {"path", "class", "split", *_MEASURED}
_FAULTS_SHOWN = 10
_TOLD_DELIMITER = re.compile(r"\s*sep=([,;\t])\s*?\r?\n")

Row = Mapping[str, str]


def read_manifest(path: str | Path, *, taxonomy: Taxonomy | None = None) -> Dataset:
    """The data set that a manifest describes. No photo is opened; `scan` does that.

    A file name may hold bytes that are not UTF-8; they come through unchanged. Anything else may not.

    Paths are relative to the manifest's folder; where all of them begin with that folder's own name, and it has no
    subfolder of that name, to the folder above.

    Args:
        path: `.csv`, `.tsv`, `.jsonl` or `.ndjson`, in UTF-8, or in UTF-16 with a byte-order mark.
        taxonomy: what the class names are matched to; without one they are kept, and those that differ only in case,
            spaces, hyphens and underscores are taken for the same.

    Raises:
        InputError: the file cannot be read.
        DatasetError: it is no manifest; all faults are listed, with their lines.
        TaxonomyError: a class is not in the taxonomy.
    """
    path = Path(path)
    rows = _read_rows(path)
    for line, row in rows:
        if not _is_unicode("".join((*row, row.get("class", ""), row.get("split", "")))):
            raise InputError(wrong_encoding(str(path), line))
    faults = list(_faults(rows))
    if faults:
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise DatasetError(f"{path}: " + "; ".join(faults[:_FAULTS_SHOWN]) + more)
    names = resolve_classes((row["class"] for _, row in rows), taxonomy, where=str(path))
    splits = {word: str(split_name(word)) for _, row in rows if (word := row.get("split", "").strip())}
    samples = tuple(_sample(row, names[row["class"]]) for _, row in rows)
    classes = taxonomy.ids if taxonomy else tuple(sorted(set(names.values())))
    notes = (*spelling_notes(names), *spelling_notes(splits, what="split"), *_unused_split_notes(samples))
    return _with_native_paths(Dataset(_root(path, samples), classes, samples, taxonomy, notes=notes))


def check_encoding(dataset: Dataset, path: Path) -> None:
    """Refuse a manifest with bytes that are not UTF-8 of which none are in the name of a file that exists.

    Raises:
        InputError: it is in another encoding.
    """
    odd = [s for s in dataset if not _is_unicode("".join((s.path, *s.extra.values())))]
    if odd and not any(os.path.lexists(dataset.file(s)) for s in odd if not _is_unicode(s.path)):
        raise InputError(wrong_encoding(str(path)))


def write_manifest(dataset: Dataset, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write `dataset` to `path`, whole or not at all.

    A photo below the manifest's folder is written with its relative path, another with its absolute one.

    Args:
        dataset: what to write.
        path: `.csv`, `.tsv`, `.jsonl` or `.ndjson`; missing folders are made.
        overwrite: replace an existing file.

    Returns:
        `path`.

    Raises:
        OutputError: `path` exists, has another suffix, or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in MANIFEST_SUFFIXES:
        raise OutputError(f"{path}: expected a name that ends in {', '.join(MANIFEST_SUFFIXES)}")
    rows = [_row(s, _path_from(path, dataset.file(s))) for s in dataset]
    columns = [*_columns_used(rows), *sorted({key for s in dataset for key in s.extra})]
    text = _to_json_lines(rows) if path.suffix.lower() in {".jsonl", ".ndjson"} else _to_csv(rows, columns, path)
    write_whole(path, text.encode("utf-8", "surrogateescape"), overwrite=overwrite)
    return path


def _read_rows(path: Path) -> list[tuple[int, Row]]:
    """The rows with their line numbers."""
    if path.suffix.lower() not in MANIFEST_SUFFIXES:
        raise DatasetError(f"{path}: expected a manifest that ends in {', '.join(MANIFEST_SUFFIXES)}")
    text = read_text(path, keep_bytes=True)
    return _json_rows(path, text) if path.suffix.lower() in {".jsonl", ".ndjson"} else _csv_rows(path, text)


def _csv_rows(path: Path, text: str) -> list[tuple[int, Row]]:
    # A first line that says how the others are separated, as Excel writes and reads it.
    told = _TOLD_DELIMITER.match(text)
    text = text[told.end() :] if told else text
    delimiter = told[1] if told else max(",;\t", key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num + bool(told), cells) for cells in reader if any(cells)]
    except csv.Error as error:
        raise DatasetError(f"{path}: line {reader.line_num}: {error}") from error
    if not lines:
        raise DatasetError(f"{path}: expected a header with path and class, got an empty file")
    columns = list(map(_column, lines[0][1]))
    while columns and not columns[-1] and not any("".join(cells[len(columns) - 1 :]) for _, cells in lines):
        columns.pop()  # spreadsheets write such columns for cells that were filled once
    _check_columns(path, columns)
    for line, cells in lines[1:]:
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            raise DatasetError(f"{path}: line {line}: expected {len(columns)} columns, got {len(cells)}")
    return [(line, dict(zip(columns, cells, strict=False))) for line, cells in lines[1:]]


def _json_rows(path: Path, text: str) -> list[tuple[int, Row]]:
    rows: list[tuple[int, Row]] = []
    # Not splitlines: JSON may hold U+2028 and the like as they are.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            values = json.loads(content)
        except ValueError as error:
            raise DatasetError(f"{path}: line {line}: not JSON: {error}") from error
        if not isinstance(values, dict):
            raise DatasetError(f"{path}: line {line}: expected an object, got {content[:40]}")
        texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in values.items() if v is not None}
        rows.append((line, {_column(key): text for key, text in texts.items()}))
    if not rows:
        raise DatasetError(f"{path}: expected one JSON object per line, got an empty file")
    _check_columns(path, list(rows[0][1]))
    return rows


def _column(name: str) -> str:
    """The column's name; those that are understood are, in whatever case."""
    name = name.strip()
    return name.lower() if name.lower() in _UNDERSTOOD else name


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in ("path", "class") if name not in columns]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if missing:
        raise DatasetError(f"{path}: expected the columns path and class, got {', '.join(columns) or 'none'}")
    if twice:
        raise DatasetError(f"{path}: columns that occur twice: {', '.join(twice)}")


def _faults(rows: Iterable[tuple[int, Row]]) -> Iterable[str]:
    seen: dict[str, int] = {}
    for line, row in rows:
        name = row.get("path", "")
        for key in ("path", "class"):
            if not row.get(key, "").strip():
                yield f"line {line}: no {key}"
        if "\0" in name:
            yield f"line {line}: path {name!r} is no file name"
        if name and name in seen:
            yield f"line {line}: {name} was already on line {seen[name]}"
        seen.setdefault(name, line)
        for key in _NUMBERS:
            if row.get(key) and not row[key].isdecimal():
                yield f"line {line}: {key} {row[key]!r} is no whole number"


def _sample(row: Row, class_id: str) -> Sample:
    return Sample(
        path=row["path"],
        class_id=class_id,
        split=split_name(row.get("split", "")),
        **{key: row.get(key) or None for key in _TEXTS},  # type: ignore[arg-type]  # all are texts
        **{key: int(row[key]) if row.get(key) else None for key in _NUMBERS},  # type: ignore[arg-type]  # numbers
        extra={key: value for key, value in row.items() if key not in _KNOWN and value},
    )


def _root(path: Path, samples: tuple[Sample, ...]) -> Path:
    folder = Path(os.path.abspath(path.parent))  # noqa: PTH100 - a link to the folder keeps its own name
    inside = (PurePosixPath(s.path).parts[:1] == (folder.name,) for s in samples)
    return folder.parent if folder.name and all(inside) and not (folder / folder.name).exists() else folder


def _unused_split_notes(samples: tuple[Sample, ...]) -> Iterator[str]:
    """Where no photo has a split, what looks as if it said one."""
    if any(s.split for s in samples):
        return
    columns = {name for s in samples for name in s.extra}
    told = {f"the column {name}": {s.extra.get(name, "") for s in samples} for name in columns}
    told["the folder in every path"] = {s.path.replace("\\", "/").partition("/")[0] for s in samples}
    for place, words in told.items():
        if len(words) > 1 and all(map(is_split, words)):
            yield f"{place} says {', '.join(sorted(words))} and is not used; if these are splits, write a column split"


def _with_native_paths(dataset: Dataset) -> Dataset:
    r"""The data set with `a\b.jpg`, as Windows writes paths, as `a/b.jpg` where that is the one that exists."""

    def native(sample: Sample) -> Sample:
        other = replace(sample, path=sample.path.replace("\\", "/"))
        is_other = not os.path.lexists(dataset.file(sample)) and os.path.lexists(dataset.file(other))
        return other if is_other else sample

    return replace(dataset, samples=tuple(native(s) if "\\" in s.path else s for s in dataset))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path_from(manifest: Path, photo: Path) -> str:
    folder = Path(os.path.abspath(manifest.parent))  # noqa: PTH100 - as above
    photo = Path(os.path.abspath(photo))  # noqa: PTH100 - as above
    return photo.relative_to(folder).as_posix() if photo.is_relative_to(folder) else photo.as_posix()


def _row(sample: Sample, path: str) -> dict[str, str | int]:
    values: dict[str, Any] = {"path": path, "class": sample.class_id, "split": sample.split}
    values |= {key: getattr(sample, key) for key in _MEASURED}
    return {key: value for key, value in {**sample.extra, **values}.items() if value is not None}


def _columns_used(rows: list[dict[str, str | int]]) -> list[str]:
    used = {key for row in rows for key in row}
    return [key for key in ("path", "class", "split", *_MEASURED) if key in used or key in {"path", "class", "split"}]


def _to_csv(rows: list[dict[str, str | int]], columns: list[str], path: Path) -> str:
    text = io.StringIO(newline="")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    # Some releases of the writer leave a lone carriage return without quotes, and no reader would keep it.
    has_returns = any("\r" in str(value) for row in rows for value in row.values())
    writer = csv.DictWriter(
        text,
        columns,
        restval="",
        delimiter=delimiter,
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if has_returns else csv.QUOTE_MINIMAL,
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _to_json_lines(rows: list[dict[str, str | int]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
