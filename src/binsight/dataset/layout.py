"""What their folders say of photos: split, biodegradable or not, class.

Understood are `<class>/…`, `<split>/<class>/…` and `<class>/<split>/…`, each with `biodegradable` and
`non_biodegradable` folders above the classes; all of it may lie in one more folder, as archives often have it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from binsight.dataset.folder import Parts, some
from binsight.dataset.labels import biodegradability_name, is_split, looks_like_split, spelling_notes, split_name
from binsight.dataset.samples import Ignored
from binsight.errors import DatasetError, TaxonomyError
from binsight.taxonomy import Taxonomy, name_key

__all__ = ["Placed", "Placement", "place_photos"]

# Between a split and its classes, as detectors have it: train/images/metal. Also: training_set/training_set/metal.
_WRAPPERS = frozenset({"images", "image", "imgs", "img", "photos", "pictures", "data"})


@dataclass(frozen=True, slots=True)
class Placed:
    """A photo and what its place among the folders says.

    Attributes:
        parts: of its path below the root.
        class_name: the class as the folder is called.
        split: `train`, `val` or `test`; None where no folder says.
        biodegradable: as a folder above the class says; None where none does.
        inner: the folder right below the class; None where the photo lies in the class folder itself.
    """

    parts: Parts
    class_name: str
    split: str | None = None
    biodegradable: bool | None = None
    inner: str | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """What the folders of a data set say.

    Attributes:
        placed: the photos that lie in a class folder.
        loose: those that do not.
        notes: what a person should be told of it.
    """

    placed: tuple[Placed, ...]
    loose: tuple[Ignored, ...]
    notes: tuple[str, ...]


def place_photos(photos: Sequence[Parts], taxonomy: Taxonomy | None, *, where: str) -> Placement:
    """What their folders say of the photos.

    Args:
        photos: parts of the paths below the root.
        taxonomy: tells a class folder from one that only wraps the others.
        where: the root, for the message.

    Raises:
        DatasetError: no photo lies in a class folder, splits and classes lie side by side, or folders look like splits
            and it cannot be told which.
    """
    depth = _wrapping(photos, taxonomy)
    heads = {parts[depth] for parts in photos if len(parts) - depth >= 2}
    splits = {name for name in heads if is_split(name)}
    deep = {parts[depth] for parts in photos if len(parts) - depth >= 3}
    _check_heads(heads, deep, splits, taxonomy, where)
    skip = _wrapped_in_splits(photos, depth) if splits else 0
    found = {parts: _place(parts, depth, skip, has_splits=bool(splits)) for parts in photos}
    placed = [p for p in found.values() if p is not None]
    if not placed:
        raise DatasetError(_nothing_found(where, photos))
    notes = [*spelling_notes({name: str(split_name(name)) for name in splits}, what="split")]
    if not splits:
        placed, more = _read_inner(placed, where)
        notes += more
    loose = tuple(Ignored("/".join(parts), "not in a class folder") for parts, p in sorted(found.items()) if p is None)
    if loose:
        notes.append(f"{len(loose):,} photos in no class folder cannot be used: {some(i.path for i in loose)}")
    return Placement(tuple(placed), loose, tuple(notes))


def _check_heads(heads: set[str], deep: set[str], splits: set[str], taxonomy: Taxonomy | None, where: str) -> None:
    """Refuse what cannot be told; `deep` are those of the heads with folders below them."""
    alike = splits | {name for name in heads if looks_like_split(name) and not _is_class(name, taxonomy)}
    if len(heads) > 1 and alike > splits and (alike == heads or len(alike & deep) > 1):
        raise DatasetError(
            f"{where}: are these splits? {some(alike)}: expected folders called train, val and test, or classes; "
            "rename them, or write a manifest"
        )
    if splits and splits != heads:
        raise DatasetError(
            f"{where}: expected folders that are all splits or all classes, got {some(splits)} beside "
            f"{some(heads - splits)}; move one of them elsewhere, or write a manifest"
        )


def _wrapped_in_splits(photos: Sequence[Parts], depth: int) -> int:
    """How many folders lie between every split and its classes: 1 for `train/images/metal`, else 0."""

    def wraps(name: str, split: str) -> bool:
        return name_key(name) in _WRAPPERS or (is_split(name) and split_name(name) == split_name(split))

    return int(all(len(p) - depth >= 4 and wraps(p[depth + 1], p[depth]) for p in photos))


def _place(parts: Parts, depth: int, skip: int, *, has_splits: bool) -> Placed | None:
    folders = parts[depth:-1]
    split = biodegradable = None
    if has_splits and folders:
        split, folders = split_name(folders[0]), folders[1 + skip :]
    # With nothing below it, such a folder is a class: a data set of two.
    if len(folders) > 1 and (biodegradable := biodegradability_name(folders[0])) is not None:
        folders = folders[1:]
    return Placed(parts, folders[0], split, biodegradable, next(iter(folders[1:]), None)) if folders else None


def _read_inner(placed: Sequence[Placed], where: str) -> tuple[list[Placed], list[str]]:
    """Splits that lie below the classes; and what is to be said of the folders there."""
    inner: dict[str, set[str | None]] = defaultdict(set)
    for photo in placed:
        inner[photo.class_name].add(photo.inner)
    if all(name is not None and is_split(name) for names in inner.values() for name in names):
        meant = {name: str(split_name(name)) for names in inner.values() for name in names if name}
        return [replace(p, split=meant[p.inner or ""]) for p in placed], [*spelling_notes(meant, what="split")]
    deep = {c: names - {None} for c, names in inner.items() if names != {None}}
    marked = {c for c, names in deep.items() if all(map(looks_like_split, map(str, names)))}
    if len(marked) > 1 or any(len(inner[c]) > 1 for c in marked):
        named = (f"{c}/{name}" for c in marked for name in deep[c])
        raise DatasetError(
            f"{where}: are these splits? {some(named)}: expected <class>/train|val|test/ in every class, or splits "
            "above the classes; rename or move them, or write a manifest"
        )
    shared = next(iter(inner.values()))
    if len(inner) > 1 and len(shared - {None}) > 1 and all(names == shared for names in inner.values()):
        names = some(name or "photos" for name in shared)
        return list(placed), [
            f"below each of {some(inner)} lie the same folders ({names}); the upper ones are the classes"
        ]
    return list(placed), []


def _wrapping(photos: Sequence[tuple[str, ...]], taxonomy: Taxonomy | None) -> int:
    """How many folders all photos share before splits or classes begin."""
    if not photos:
        return 0
    depth = 0
    first = photos[0]
    while (
        all(len(parts) > depth + 2 and parts[depth] == first[depth] for parts in photos)
        and not is_split(first[depth])
        and biodegradability_name(first[depth]) is None
        and not _is_class(first[depth], taxonomy)
    ):
        depth += 1
    return depth


def _is_class(name: str, taxonomy: Taxonomy | None) -> bool:
    try:
        return taxonomy is not None and bool(taxonomy.match(name))
    except TaxonomyError:
        return False


def _nothing_found(where: str, photos: Sequence[tuple[str, ...]]) -> str:
    got = f"{len(photos):,} photos in no class folder" if photos else "no photos"
    return (
        f"{where}: expected photos in folders <class>/, train|val|test/<class>/ or <class>/train|val|test/, got {got}"
    )
