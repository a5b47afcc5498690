"""What a data set looks like: counts, sizes, samples, mean photos and a map, as pictures and one page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from binsight.dataset.embedding import Look, flatten, look_at
from binsight.dataset.samples import Dataset
from binsight.errors import BinsightError, DatasetError, OutputError
from binsight.extras import needs_extra
from binsight.files import write_whole
from binsight.fonts import legible
from binsight.imaging import PreprocessSpec, prepare_photo, read_photo
from binsight.pages import data_uri, render_template
from binsight.predictor import Predictor
from binsight.progress import Stage, unheard_stage
from binsight.text_files import csv_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Exploration", "Picture", "explore"]

_PER_CLASS = 8
_SAMPLE_SPEC = PreprocessSpec((160, 160), fit="letterbox", filter="bilinear", pad_value=255)
_ASPECTS = {
    1 / 5: "1:5", 1 / 3: "1:3", 1 / 2: "1:2", 2 / 3: "2:3", 1.0: "1:1", 3 / 2: "3:2", 2.0: "2:1", 3.0: "3:1", 5.0: "5:1"
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One plot.

    Attributes:
        name: the file's name without `.png`.
        title: above it.
        caption: below it: what it shows and what to look for.
        figure: the drawing.
    """

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class Exploration:
    """What was written.

    Attributes:
        page: the page with all pictures in it.
        pictures: the PNG files.
        places: `map.csv` with each photo's place on the map; None without a map.
        looked_at: how many photos the mean photos and the map are made of.
        unreadable: photos that could not be decoded, with the reason.
    """

    page: Path
    pictures: tuple[Path, ...]
    places: Path | None
    looked_at: int
    unreadable: tuple[tuple[str, str], ...]


def explore(
    dataset: Dataset,
    out: str | Path,
    *,
    predictor: Predictor | None = None,
    max_photos: int = 4000,
    seed: int = 0,
    workers: int | None = None,
    report: Stage = unheard_stage,
    overwrite: bool = False,
) -> Exploration:
    """Draw a data set into a folder: PNG files, and `index.html`, which has them inside.

    Args:
        dataset: scanned, so that sizes are known.
        out: the folder; made when it is missing.
        predictor: draws the map; it needs the output `features` and should be loaded with `threads=1`. Without one
            there is no map.
        max_photos: mean photos and map are made of at most so many, as many of each class as its share.
        seed: chooses the photos that are shown.
        workers: threads.
        report: told what is being done.
        overwrite: replace an `index.html` that is there.

    Raises:
        DatasetError: no photo is sound.
        MissingExtraError: matplotlib or scikit-learn is not installed.
        OutputError: there is an `index.html` and `overwrite` is false, or `out` cannot be written.
    """
    out = Path(out)
    if not overwrite and (out / "index.html").exists():
        raise OutputError(f"{out / 'index.html'} exists; pass --overwrite to replace it")
    sound = dataset.sound()
    if not sound.samples:
        raise DatasetError(f"{dataset.root}: none of the {len(dataset)} photos can be read")
    rng = np.random.default_rng(seed)
    chosen = _choose(sound, max_photos, rng)
    look = look_at(sound, chosen, predictor=predictor, workers=workers, progress=report("Looking at photos"))
    places = None
    if look.features is not None:
        report("Drawing the map")(0, 1)
        places = flatten(look.features, seed=seed)
    with legible([*_titles(sound), *sound.splits]):
        pictures = _draw(sound, look, places, rng)
        files = tuple(_write_picture(out, picture) for picture in pictures)
    map_file = None if places is None else _write_places(out, sound, look.positions, places)
    faults = tuple((sound.samples[i].path, reason) for i, reason in look.faults)
    write_whole(out / "index.html", _page(dataset, pictures, files, faults).encode(), overwrite=True)
    return Exploration(out / "index.html", files, map_file, len(look.positions), faults)


def _choose(dataset: Dataset, limit: int, rng: np.random.Generator) -> list[int]:
    """At most `limit` positions, of each class its share and at least one, in order."""
    if len(dataset) <= limit:
        return list(range(len(dataset)))
    chosen: list[int] = []
    for label in np.unique(dataset.labels):
        mine = np.flatnonzero(dataset.labels == label)
        count = max(1, int(limit * len(mine) / len(dataset)))
        chosen += rng.permutation(mine)[:count].tolist()
    return sorted(chosen)


def _draw(dataset: Dataset, look: Look, places: NDArray[np.float32] | None, rng: np.random.Generator) -> list[Picture]:
    with needs_extra("drawing plots", "data"):
        from binsight.dataset import plots  # noqa: PLC0415 - matplotlib is an extra

    titles, labels = _titles(dataset), dataset.labels
    seen = np.bincount(labels[look.positions], minlength=len(titles)).tolist()
    pictures = [
        Picture(
            "counts", "Photos per class", "Unequal classes need weights or more photos; a class that a split lacks "
            "cannot be judged there.", plots.draw_counts(titles, _counts(dataset)),
        ),
        Picture(
            "samples", "Samples", "Photos of each class, drawn at random.",
            plots.draw_samples(titles, _sample_rows(dataset, rng)),
        ),
        Picture(
            "means", "Mean photo of each class", "All photos of a class, stretched to a square and averaged. The more "
            "of a shape or background can be seen, the more alike the photos are: a model may learn that instead of "
            "the object.", plots.draw_means(titles, look.means, seen),
        ),
        *_draw_files(dataset, titles),
    ]  # fmt: skip
    if places is not None:
        pictures.append(
            Picture(
                "map", "Map of the photos", "Photos that the network finds alike lie close together (principal "
                "components, then t-SNE; distances between far groups mean little). Single marks inside another "
                "class's group are worth a look: map.csv says which photos they are.",
                plots.draw_map(titles, labels[look.positions], places),
            )
        )  # fmt: skip
    return pictures


def _draw_files(dataset: Dataset, titles: list[str]) -> list[Picture]:
    """What can be said of the photos without looking at them: sizes, proportions, bytes."""
    from binsight.dataset import plots  # noqa: PLC0415 - matplotlib is an extra

    widths = np.array([s.width or 1 for s in dataset], np.int64)
    heights = np.array([s.height or 1 for s in dataset], np.int64)
    sizes = np.array([s.bytes or 1 for s in dataset], np.float64)

    def by_class(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        return [values[dataset.labels == c] for c in range(len(titles))]

    return [
        Picture(
            "sizes", "Width and height", "Each cell is a size; the dotted lines are common proportions.",
            plots.draw_sizes(widths, heights),
        ),
        Picture(
            "aspect", "Proportions by class", "Width to height. Boxes hold the middle half, whiskers 98 %. Classes "
            "that differ here can be told apart without looking at the object.",
            plots.draw_boxes(titles, by_class(widths / heights), label="width : height", ticks=_ASPECTS),
        ),
        Picture(
            "resolution", "Resolution by class", "The shorter side of each photo.",
            plots.draw_boxes(titles, by_class(np.minimum(widths, heights) * 1.0), label="shorter side, pixels"),
        ),
        Picture(
            "compression", "Compression by class", "Bytes of the file for each pixel: it tells sources apart, and "
            "should not tell classes apart.",
            plots.draw_boxes(titles, by_class(sizes / (widths * heights)), label="bytes per pixel"),
        ),
    ]  # fmt: skip


def _titles(dataset: Dataset) -> list[str]:
    if dataset.taxonomy:
        return [c.title for c in dataset.taxonomy.classes]
    return list(dataset.classes)


def _counts(dataset: Dataset) -> dict[str, list[int]]:
    counts = dataset.counts()
    splits: list[str | None] = [*dataset.splits, *([None] if any(s.split is None for s in dataset) else [])]
    names = {split: split or ("no split" if dataset.splits else "photos") for split in splits}
    return {names[split]: [counts.get((split, c), 0) for c in dataset.classes] for split in splits}


def _sample_rows(dataset: Dataset, rng: np.random.Generator) -> list[list[NDArray[np.uint8]]]:
    rows: list[list[NDArray[np.uint8]]] = []
    for label in range(len(dataset.classes)):
        row: list[NDArray[np.uint8]] = []
        for i in rng.permutation(np.flatnonzero(dataset.labels == label)):
            if len(row) == _PER_CLASS:
                break
            try:
                row.append(prepare_photo(read_photo(dataset.file(dataset.samples[i])), _SAMPLE_SPEC))
            except BinsightError:
                continue  # listed on the page with its reason if it was among those looked at
        rows.append(row)
    return rows


def _write_picture(out: Path, picture: Picture) -> Path:
    data = io.BytesIO()
    # Without the creation time and version the same photos give the same bytes.
    picture.figure.savefig(data, format="png", metadata={"Software": None})
    path = out / f"{picture.name}.png"
    write_whole(path, data.getvalue(), overwrite=True)
    return path


def _write_places(out: Path, dataset: Dataset, positions: NDArray[np.int64], places: NDArray[np.float32]) -> Path:
    rows = [["path", "class", "split", "x", "y"]]
    for i, (x, y) in zip(positions, places, strict=True):
        sample = dataset.samples[i]
        rows.append([sample.path, sample.class_id, sample.split or "", f"{x:.4f}", f"{y:.4f}"])
    write_whole(out / "map.csv", csv_text(rows).encode("utf-8", "surrogateescape"), overwrite=True)
    return out / "map.csv"


def _page(
    dataset: Dataset, pictures: Sequence[Picture], files: Sequence[Path], faults: Sequence[tuple[str, str]]
) -> str:
    unsound = [(s.path, s.error or "") for s in dataset if s.error]
    return render_template(
        "explore.html.j2",
        "dataset",
        extra="data",
        filters={},
        name=dataset.root.name or str(dataset.root),
        facts=_facts(dataset),
        pictures=[(p, data_uri(f.read_bytes(), "png")) for p, f in zip(pictures, files, strict=True)],
        # Bytes of a file name that are no text become question marks.
        faults=[[text.encode("utf-8", "replace").decode("utf-8") for text in fault] for fault in [*unsound, *faults]],
    )


def _facts(dataset: Dataset) -> list[str]:
    sound = dataset.sound()
    counts = np.bincount(sound.labels, minlength=len(dataset.classes))
    used = counts[counts > 0]
    sides = np.array([min(s.width or 0, s.height or 0) for s in sound])
    facts = [
        f"{len(dataset):,} photos of {len(used)} classes"
        + "".join(f", {_in_split(dataset, s)}" for s in dataset.splits),
        f"The largest class has {used.max() / used.min():.1f} times the photos of the smallest",
        f"Shorter side {sides.min():,} to {sides.max():,} pixels, half of them {int(np.median(sides)):,} or less",
        f"{sum(s.bytes or 0 for s in dataset) / 1e6:,.1f} MB",
    ]
    if empty := [c for c, n in zip(dataset.classes, counts, strict=True) if not n]:
        facts.append(f"No photos of {', '.join(empty)}")
    if len(sound) < len(dataset):
        facts.append(f"{len(dataset) - len(sound):,} photos cannot be read; they are listed at the end")
    return facts


def _in_split(dataset: Dataset, split: str) -> str:
    return f"{sum(s.split == split for s in dataset):,} in {split}"
