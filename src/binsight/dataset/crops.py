"""From photos with boxes around objects to one photo per object, in a folder per class."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin  # noqa: F401 - the plug-in registers the format that is written

from binsight.errors import BinsightError, DatasetError, InputError
from binsight.imaging import decode_image, read_photo
from binsight.progress import Progress, unheard
from binsight.taxonomy import folder_name_fault
from binsight.text_files import read_text

__all__ = ["cut_objects"]

_MARGIN = 0.1
_MIN_SIDE = 48
_QUALITY = 95


def cut_objects(annotations: Path, out: Path, *, progress: Progress = unheard) -> dict[str, int]:
    """Cut the objects of COCO annotations out of their photos, with a tenth of their size around them.

    Args:
        annotations: a COCO file; its `file_name`s are relative to its folder.
        out: gets `<category>/<photo>_<object>.jpg`.
        progress: called as photos are done.

    Returns:
        How many objects were `cut`, and how many not, by reason: `too small`, `photo missing`, `photo unreadable`,
        `photo of another size`.

    Raises:
        InputError: the file cannot be read.
        DatasetError: it is no COCO file.
    """
    images, objects = _read_coco(annotations)
    outcomes: Counter[str] = Counter()
    for done, (image_id, boxes) in enumerate(objects.items(), start=1):
        image = images.get(image_id)
        photo = _photo(annotations.parent, image)
        if image is None or isinstance(photo, str):
            outcomes[photo if isinstance(photo, str) else "photo missing"] += len(boxes)
        else:
            stem = _folder_name(PurePosixPath(image["file_name"]).with_suffix("").as_posix())
            for category, number, box in boxes:
                outcomes[_cut(photo, box, out / category / f"{stem}_{number}.jpg")] += 1
        progress(done, len(objects))
    return dict(outcomes)


def _read_coco(path: Path) -> tuple[dict[Any, Any], dict[Any, list[tuple[str, int, list[float]]]]]:
    """Photos by id, and for each photo's id the objects on it: category, number and box `(x, y, width, height)`."""
    try:
        data = json.loads(read_text(path))
        images = {image["id"]: image for image in data["images"]}
        categories = _folder_names({c["id"]: str(c["name"]) for c in data["categories"]})
        objects: dict[Any, list[tuple[str, int, list[float]]]] = defaultdict(list)
        for entry in data["annotations"]:
            # All of it is looked at here, so that a broken file is refused before anything is written.
            objects[entry["image_id"]].append((categories[entry["category_id"]], int(entry["id"]), _box(entry["bbox"])))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: expected COCO annotations: {type(error).__name__} {error}") from error
    return images, dict(objects)


def _box(values: list[Any]) -> list[float]:
    box = [float(v) for v in values]
    if len(box) != 4 or not np.isfinite(box).all():
        raise ValueError(f"bbox {values}")
    return box


def _folder_names(names: dict[Any, str]) -> dict[Any, str]:
    """For each key a folder name; names that differ get folders that do."""
    folders: dict[str, str] = {}
    for name in names.values():
        wanted, count = _folder_name(name), 1
        taken = {folder.casefold() for other, folder in folders.items() if other != name}
        while (folder := f"{wanted}-{count}" if count > 1 else wanted).casefold() in taken:
            count += 1
        folders.setdefault(name, folder)
    return {key: folders[name] for key, name in names.items()}


def _folder_name(text: str) -> str:
    """`text` as one plain name; what could lead elsewhere is replaced."""
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", text).strip(". ") or "_"
    return f"_{name}" if folder_name_fault(name) else name


def _photo(folder: Path, image: Any) -> NDArray[np.uint8] | str:
    """The photo that the annotations are of, or why there is none."""
    name = "" if image is None else str(image.get("file_name", ""))
    if any(map(folder_name_fault, PurePosixPath(name).parts or ("",))):
        return "photo missing"
    try:
        photo = decode_image(read_photo(folder / name))
    except InputError:
        return "photo missing"
    except BinsightError:
        return "photo unreadable"
    wanted = image.get("height"), image.get("width")
    # A photo that was turned or resized since would give crops of something else.
    return photo if photo.shape[:2] == wanted else "photo of another size"


def _cut(photo: NDArray[np.uint8], bbox: list[float], target: Path) -> str:
    left, top, width, height = bbox
    if min(width, height) < _MIN_SIDE:
        return "too small"
    x0, y0 = max(0, round(left - _MARGIN * width)), max(0, round(top - _MARGIN * height))
    x1, y1 = round(left + (1 + _MARGIN) * width), round(top + (1 + _MARGIN) * height)
    crop = photo[y0:y1, x0:x1]
    if min(crop.shape[:2]) < _MIN_SIDE:
        return "too small"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(crop)).save(target, "JPEG", quality=_QUALITY)
    return "cut"
