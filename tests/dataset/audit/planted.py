"""Builds a data set in which everything that is wrong was put there on purpose."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

SPLITS = ("train", "val", "test")


@dataclass
class Planted:
    """What was put where; paths are relative to `root`.

    Attributes:
        source: for every sound photo the photo it was made from; an untouched one is its own source.
        exact: copies, with the same bytes.
        altered: altered copies.
        conflicts: copies that lie in another class than their source.
        leaks: copies that lie in another split than their source.
        swapped: photos that were moved to a wrong class.
        corrupt: files that are no sound photos.
    """

    root: Path
    source: dict[str, str] = field(default_factory=dict)
    exact: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)


def plant(
    photos: Path, root: Path, *, seed: int, per_class: int = 45, leave_out: frozenset[str] = frozenset()
) -> Planted:
    """Fill `root` from the class folders in `photos`: 40 exact and 60 altered copies, 30 swapped labels, 10 corrupt.

    Photos named in `leave_out` (without suffix) are not used.
    """
    rng = random.Random(seed)  # noqa: S311 - a repeatable choice of photos, no secret
    planted = Planted(root)
    classes = sorted(folder.name for folder in photos.iterdir() if folder.is_dir())
    base: list[tuple[str, str, Path]] = []
    for name in classes:
        files = sorted(f for f in (photos / name).glob("*.jpg") if f.stem not in leave_out)
        base += [(rng.choice(SPLITS), name, file) for file in rng.sample(files, min(per_class, len(files)))]
    rng.shuffle(base)
    for split, name, file in base[:30]:
        place = _write(planted, split, rng.choice([c for c in classes if c != name]), file.name, file.read_bytes())
        planted.swapped.append(place)
        planted.source[place] = place
    for split, name, file in base[30:]:
        place = _write(planted, split, name, file.name, file.read_bytes())
        planted.source[place] = place
    for number, original in enumerate(base[30:130]):
        _plant_copy(planted, original, number, classes, rng)
    for number, (kind, data) in enumerate(corrupt_files(base[130][2], rng).items()):
        planted.corrupt.append(_write(planted, SPLITS[number % 3], rng.choice(classes), f"bad-{kind}", data))
    return planted


def alter(picture: Image.Image, kind: int, rng: random.Random) -> bytes:
    """One of the six alterations, as JPEG."""
    width, height = picture.size
    quality = 90
    if kind == 0:
        factor = rng.uniform(0.5, 1.6)
        picture = picture.resize((round(width * factor), round(height * factor)), Image.Resampling.LANCZOS)
    elif kind == 1:
        quality = 40
    elif kind == 2:
        left, top = rng.uniform(0, 0.05) * width, rng.uniform(0, 0.05) * height
        picture = picture.crop((round(left), round(top), round(left + 0.95 * width), round(top + 0.95 * height)))
    elif kind == 3:
        picture = ImageOps.mirror(picture)
    else:
        picture = ImageEnhance.Brightness(picture).enhance(0.8 if kind == 4 else 1.2)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def corrupt_files(photo: Path, rng: random.Random) -> dict[str, bytes]:
    """Ten files, each broken in its own way."""
    jpeg = photo.read_bytes()
    with Image.open(photo) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    forms = {}
    for form in ("PNG", "GIF", "WEBP", "BMP"):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, form)
        forms[form] = stream.getvalue()
    middle = len(jpeg) // 2
    png = bytearray(forms["PNG"])
    png[len(png) // 2] ^= 0x10
    return {
        "half.jpg": jpeg[:middle],
        "header.jpg": jpeg[:200],
        "empty.jpg": b"",
        "text.jpg": b"not a photo\n" * 50,
        "page.jpg": b"<!DOCTYPE html><title>404</title>",
        "overwritten.jpg": jpeg[:middle] + rng.randbytes(2048) + jpeg[middle + 2048 :],
        "flipped.png": bytes(png),
        "half.png": forms["PNG"][: len(forms["PNG"]) // 2],
        "half.webp": forms["WEBP"][: len(forms["WEBP"]) // 2],
        "half.bmp": forms["BMP"][: len(forms["BMP"]) // 2],
    }


def _plant_copy(
    planted: Planted, original: tuple[str, str, Path], number: int, classes: list[str], rng: random.Random
) -> None:
    split, name, file = original
    # In turn: another split, another class, both.
    to_split = rng.choice([s for s in SPLITS if s != split]) if number % 3 != 1 else split
    to_class = rng.choice([c for c in classes if c != name]) if number % 3 != 0 else name
    if number < 40:
        place = _write(planted, to_split, to_class, f"copy-{file.name}", file.read_bytes())
        planted.exact.append(place)
    else:
        with Image.open(file) as picture:
            data = alter(picture.convert("RGB"), number % 6, rng)
        place = _write(planted, to_split, to_class, f"altered-{file.name}", data)
        planted.altered.append(place)
    planted.source[place] = f"{split}/{name}/{file.name}"
    if to_class != name:
        planted.conflicts.append(place)
    if to_split != split:
        planted.leaks.append(place)


def _write(planted: Planted, split: str, name: str, file: str, data: bytes) -> str:
    place = planted.root / split / name / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place.relative_to(planted.root).as_posix()
