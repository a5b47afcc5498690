"""A version of the data set for other programs: folders, Hugging Face's imagefolder, Label Studio, CVAT, CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from binsight.errors import InputError, OutputError
from binsight.files import write_whole
from binsight.imaging import read_photo
from binsight.loop.queue import Queue
from binsight.loop.versions import newest_version
from binsight.text_files import csv_text

__all__ = ["FORMATS", "export_version"]

Row = Mapping[str, str]


def export_version(queue: Queue, out: Path, form: str) -> int:
    """Copy the newest version's photos to `out/<class>/<sha>.jpg`, and describe them; the number of photos.

    Args:
        queue: of the loop.
        out: a folder that is empty, or is not there yet.
        form: one of `FORMATS`.

    Raises:
        InputError: nothing was frozen yet, or a photo is gone.
        OutputError: `out` is not empty, or cannot be written.
    """
    path = newest_version(queue.directory)
    if path is None or not path.is_file():
        raise InputError(f"{queue.directory}: no version to export; `binsight data freeze` makes one")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is not an empty folder; choose another place")
    with path.open(encoding="utf-8", newline="") as file:
        # Of a photo that was forgotten since, the version keeps the row and nobody has the photo.
        rows: list[Row] = [row for row in csv.DictReader(file) if (path.parent / row["path"]).is_file()]
    for row in rows:
        write_whole(out / _place(row), read_photo(path.parent / row["path"]))
    name, describe = FORMATS[form]
    write_whole(out / name, describe(rows))
    return len(rows)


def _place(row: Row) -> str:
    return f"{row['class']}/{Path(row['path']).name}"


def _to_csv(rows: list[Row]) -> str:
    names = list(rows[0]) if rows else ["path"]
    return csv_text([names, *([_place(row) if name == "path" else row[name] for name in names] for row in rows)])


def _to_imagefolder(rows: list[Row]) -> str:
    """One JSON object a line, with `file_name` and `label`, as `datasets.load_dataset("imagefolder")` reads it."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        rest = {key: value for key, value in row.items() if key not in {"path", "class", "pi"}}
        lines.append({"file_name": _place(row), "label": row["class"], **rest, "pi": float(row["pi"])})
    return "".join(json.dumps(line) + "\n" for line in lines)


def _to_label_studio(rows: list[Row]) -> str:
    """Tasks with an image and one choice, as Label Studio imports them from local files."""
    tasks = []
    for row in rows:
        choice = {"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": [row["class"]]}}
        data = {key: row[key] for key in ("split", "captured", "labellers")}
        data["image"] = f"/data/local-files/?d={_place(row)}"
        tasks.append({"data": data, "annotations": [{"result": [choice]}]})
    return json.dumps(tasks, indent=1) + "\n"


def _to_cvat(rows: list[Row]) -> str:
    """CVAT for images 1.1: a tag for each image."""
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    for number, row in enumerate(rows):
        image = ET.SubElement(root, "image", id=str(number), name=_place(row), subset=row["split"])
        ET.SubElement(image, "tag", label=row["class"], source="manual")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


FORMATS: Final[dict[str, tuple[str, Callable[[list[Row]], str]]]] = {
    "csv": ("manifest.csv", _to_csv),
    "imagefolder": ("metadata.jsonl", _to_imagefolder),
    "labelstudio": ("tasks.json", _to_label_studio),
    "cvat": ("annotations.xml", _to_cvat),
}
"""Format → the file that describes the photos, and what makes it."""
