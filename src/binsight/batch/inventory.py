"""Inventories of object stores: what Amazon S3 writes each day or week of a bucket, in the place of a million listings.

References:
    Amazon S3 User Guide, "Cataloging and analyzing your data with S3 Inventory": manifest.json, CSV without a header
    whose keys are URL-encoded, and Parquet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote_plus

from binsight.batch.lists import as_text, opened, read_csv, read_parquet
from binsight.errors import DatasetError
from binsight.stores import is_remote, split_address

__all__ = ["INVENTORY", "list_inventory"]

INVENTORY = "manifest.json"


def list_inventory(address: str) -> Iterator[str]:
    """The objects that an inventory lists, as addresses; of several versions the latest, and none that is deleted.

    Args:
        address: of its `manifest.json`, in the bucket it was written to, or copied here with its files.

    Raises:
        DatasetError: it is no inventory that can be read.
        InputError: a file of it is missing.
        StoreError: its store refuses.
    """
    with opened(address) as file:
        try:
            manifest: dict[str, Any] = json.load(file)
            form, files = str(manifest["fileFormat"]).upper(), [str(entry["key"]) for entry in manifest["files"]]
            columns = [name.strip().lower() for name in str(manifest["fileSchema"]).split(",")]
            bucket = str(manifest["destinationBucket"]).rpartition(":")[2]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{address}: expected the manifest.json of an S3 Inventory ({error!r})") from error
    if form not in {"CSV", "PARQUET"}:
        raise DatasetError(f"{address}: expected an inventory in CSV or Parquet, got {form}")
    for key in files:
        place = _locate(key, address, bucket)
        if form == "PARQUET":
            with opened(place) as data:
                yield from _addresses(read_parquet(data, place), place, encoded=False)
        else:
            with opened(place) as data, as_text(data, place) as text:
                yield from _addresses(read_csv(text, place, columns=columns), place, encoded=True)


def _locate(key: str, manifest: str, bucket: str) -> str:
    if is_remote(manifest):
        return f"{split_address(manifest)[0]}/{key}"
    folder, name = Path(manifest).parent, PurePosixPath(key).name
    for place in (folder / key, folder / name, folder / "data" / name, folder.parent / "data" / name):
        if os.path.lexists(place):
            return str(place)
    return f"s3://{bucket}/{key}"


def _addresses(rows: Iterator[dict[str, Any]], place: str, *, encoded: bool) -> Iterator[str]:
    for raw in rows:
        row = {name.replace("_", "").lower(): value for name, value in raw.items()}
        if not row.get("bucket") or not row.get("key"):
            raise DatasetError(f"{place}: expected bucket and key, got {', '.join(raw)}")
        if _is_true(row.get("isdeletemarker")) or (row.get("islatest") is not None and not _is_true(row["islatest"])):
            continue
        yield f"s3://{row['bucket']}/{unquote_plus(row['key']) if encoded else row['key']}"


def _is_true(value: object) -> bool:
    return str(value).strip().lower() == "true"
