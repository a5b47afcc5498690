"""Photos beside the data set: more to train on, of none of the classes, of other people, and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from binsight.dataset import Dataset, scan
from binsight.dataset.folder import find_photos
from binsight.dataset.photo import inspect_photo
from binsight.dataset.samples import Sample
from binsight.errors import InputError, TaxonomyError
from binsight.predictor import run_in_order
from binsight.taxonomy import Taxonomy

__all__ = ["list_unknown", "photos_below", "read_labelled", "read_unlabelled", "write_noise"]

_NONE = "none"
_NOISE_SIDE, _NOISE_EACH = 256, 10


def read_labelled(places: Sequence[str], taxonomy: Taxonomy, *, workers: int | None = None) -> Dataset:
    """Photos of a taxonomy's classes from other places, with absolute paths and no split.

    Args:
        places: folders with a folder per class, manifests, or `CLASS=FOLDER` for a folder of one class. Photos of
            other classes are left out; so are those that cannot be read, and both are told in `notes`.
        taxonomy: whose classes.
        workers: threads.

    Raises:
        InputError: there is no such place, or no photo in it.
        TaxonomyError: a place is said to be of a class that there is not, or has none of the classes.
    """
    return _gather(places, taxonomy.ids, partial(_read_place, taxonomy=taxonomy, workers=workers))


def read_unlabelled(places: Sequence[str], *, workers: int | None = None) -> Dataset:
    """Photos of none of the classes, all of one class `none`; see `read_labelled`.

    Args:
        places: folders, or manifests, whose classes do not matter.
        workers: threads.

    Raises:
        InputError: there is no such place, or no photo in it.
    """

    def read(place: str) -> Dataset:
        if not Path(place).expanduser().is_file():
            return _read_class(place, _NONE, workers)
        found = scan(Path(place).expanduser(), workers=workers, decode=True)
        return replace(found, classes=(_NONE,), samples=tuple(replace(s, class_id=_NONE) for s in found))

    return _gather(places, (_NONE,), read)


def _gather(places: Sequence[str], classes: tuple[str, ...], read: Callable[[str], Dataset]) -> Dataset:
    samples, notes = {}, []
    for place in places:
        found = read(place)
        name = Path(place.partition("=")[2] or place).name
        for s in found.sound():
            path = str(found.file(s))
            samples[path] = replace(s, path=path, split=None, extra={"source": name, **s.extra})
        if faults := len(found) - len(found.sound()):
            notes.append(f"{place}: {faults} photos cannot be read and are left out")
        notes += found.notes
    return Dataset(Path(), classes, tuple(samples.values()), notes=tuple(notes))


def _read_place(place: str, taxonomy: Taxonomy, workers: int | None) -> Dataset:
    name, is_of_one_class, folder = place.partition("=")
    if is_of_one_class and not Path(place).exists():
        return _read_class(folder, taxonomy.match(name), workers)
    found = scan(Path(place).expanduser(), workers=workers, decode=True)
    known = {}
    for own in found.classes:
        try:
            known[own] = taxonomy.match(own)
        except TaxonomyError:
            continue
    if not known:
        raise TaxonomyError(f"{place}: expected classes of {taxonomy.name}, got {', '.join(found.classes)}")
    kept = tuple(replace(s, class_id=known[s.class_id]) for s in found if s.class_id in known)
    others = [f"{place}: photos of {', '.join(sorted(set(found.classes) - set(known)))} are left out"]
    return replace(found, classes=taxonomy.ids, samples=kept, notes=tuple(others if len(kept) < len(found) else ()))


def _read_class(folder: str, class_id: str, workers: int | None) -> Dataset:
    paths = photos_below(folder, "photos")
    facts = run_in_order(partial(inspect_photo, decode=True), paths, workers=workers)
    samples = (Sample(str(p), class_id, **asdict(f)) for p, f in zip(paths, facts, strict=True))
    return Dataset(Path(), (class_id,), tuple(samples))


def photos_below(folder: str, what: str) -> list[Path]:
    """The photos below a folder, sorted.

    Raises:
        InputError: there is no such folder, or no photo in it.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"{root}: no such folder of {what}")
    if found := sorted(root.joinpath(*parts) for parts in find_photos(root)[0]):
        return found
    raise InputError(f"{root}: expected photos, found none")


def list_unknown(places: Sequence[str]) -> dict[str, list[Path]]:
    """What is measured → photos of none of the classes, of places `NAME=FOLDER`; of a bare `FOLDER`, as `unknown`.

    Raises:
        InputError: there is no such folder, or no photo in it.
    """
    found: dict[str, list[Path]] = {}
    for place in places:
        name, is_named, folder = place.partition("=")
        named = bool(is_named) and not Path(place).exists()
        found.setdefault(name if named else "unknown", []).extend(
            photos_below(folder if named else place, "unknown photos")
        )
    return found


def write_noise(folder: Path) -> list[Path]:
    """Write pictures without any object, ten of each kind, always the same; gives their paths.

    The kinds are random pixels, random grey pixels, a dark frame with grain, and random squares of 4 and of 16 pixels.
    """
    rng, side, paths = np.random.default_rng(0), _NOISE_SIDE, []
    for number in range(_NOISE_EACH):
        blocks = {
            n: rng.integers(0, 256, (side // n, side // n, 3)).repeat(n, axis=0).repeat(n, axis=1) for n in (4, 16)
        }
        pictures = {
            "pixels": rng.integers(0, 256, (side, side, 3)),
            "grey": rng.integers(0, 256, (side, side, 1)).repeat(3, axis=2),
            "dark": np.clip(rng.normal(10, 8, (side, side, 3)), 0, 255),
            "squares-4": blocks[4],
            "squares-16": blocks[16],
        }
        for kind, picture in pictures.items():
            paths.append(folder / f"{kind}-{number}.png")
            Image.fromarray(picture.astype(np.uint8)).save(paths[-1])
    return sorted(paths)
