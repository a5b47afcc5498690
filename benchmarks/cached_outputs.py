"""What a bundle's network gives for the photos of `waste8` and `more`, computed once and kept: resumable, in parts.

    python benchmarks/cached_outputs.py --data ../shared/data --cache .cache/outputs

A part is 256 photos in one `.npz`, float32, in a folder named by the hash of the network; a part that is there is not
computed again. `choose.py` and `adapt.py` begin with it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.camera import look
from binsight.bundle.container import MODEL_NAME
from binsight.predictor import Outputs, Predictor, run_photos

PART: Final = 256
OUTPUTS: Final = ("logits", "biodegradable_logit", "features", "unfamiliarity")


@dataclass(frozen=True)
class Table:
    """Photos and what the network gives for them.

    Attributes:
        paths: `(n,)`, below the data folder.
        labels: `(n,)`, the name of each photo's class.
        sources: `(n,)`, who took it; those of `more` begin with `more/`.
        splits: `(n,)`: train, val, test or more.
        features: `(n, d)` float32.
        logits: `(n, C)`.
        biodegradable: `(n,)` logits.
        unfamiliarity: `(n,)`.
    """

    paths: NDArray[np.str_]
    labels: NDArray[np.str_]
    sources: NDArray[np.str_]
    splits: NDArray[np.str_]
    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    biodegradable: NDArray[np.float32]
    unfamiliarity: NDArray[np.float32]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Table:
        """Some of the photos."""
        return Table(*(getattr(self, field.name)[rows] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.paths)


def load_table(data: Path, cache: Path, splits: Sequence[str], *, model: str = "waste8") -> Table:
    """The photos of some of the splits `train`, `val`, `test` and `more`; what is not cached is computed first."""
    listed = [row for split in splits for row in _listed(data, split)]
    paths, labels, sources, names = (np.array(column) for column in zip(*listed, strict=True))
    predictor = Predictor.load(model, threads=1)
    kept: dict[str, dict[str, NDArray[np.float32]]] = {}
    for split in splits:
        files = [path for path, _, _, name in listed if name == split]
        kept[split] = _outputs(predictor, data, files, split, cache, OUTPUTS)
    found = {name: np.concatenate([kept[split][name] for split in splits]) for name in OUTPUTS}
    second, strange = found["biodegradable_logit"][:, 0], found["unfamiliarity"][:, 0]
    return Table(paths, labels, sources, names, found["features"], found["logits"], second, strange)


def load_views(data: Path, cache: Path, paths: Sequence[str], *, model: str = "waste8") -> NDArray[np.float32]:
    """The features of photos mirrored and turned as a lesson sees them, `(n, v, d)`; computed first like the others."""
    predictor = Predictor.load(model, threads=1)
    run = partial(look, predictor, turns=True)
    return _outputs(predictor, data, paths, "turned", cache, ("features",), run)["features"][:, 1:]


def _listed(data: Path, split: str) -> Iterator[tuple[str, str, str, str]]:
    if split == "more":
        with (data / "more" / "manifest.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield f"more/{row['path']}", row["class"], f"more/{row['source']}", split
        return
    with (data / "waste8" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == split:
                yield row["path"], row["class"], row["source"], split


def _outputs(
    predictor: Predictor,
    data: Path,
    paths: Sequence[str],
    split: str,
    cache: Path,
    names: Sequence[str],
    run: Callable[[NDArray[np.uint8]], Outputs] | None = None,
) -> dict[str, NDArray[np.float32]]:
    network = predictor.bundle.manifest.files[MODEL_NAME].sha256[:16]
    folder = cache / network
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, len(paths), PART):
        files = paths[first : first + PART]
        key = hashlib.sha256("\n".join(files).encode()).hexdigest()[:12]
        file = folder / f"{split}-{first:05}-{key}.npz"
        if not file.exists():
            found = run_photos(predictor, [data / name for name in files], names, run=run)
            if found.faults:
                raise SystemExit(f"photos that cannot be read: {found.faults}")
            draft = file.with_suffix(f".{os.getpid()}.tmp")
            with draft.open("wb") as out:
                np.savez(out, **{name: getattr(found.outputs, name) for name in names})
            draft.replace(file)
            print(f"{split}: {first + len(files)} of {len(paths)}", flush=True)
        with np.load(file) as arrays:
            parts.append({name: arrays[name] for name in names})
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def main() -> None:
    """Fill the cache."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with waste8/ and more/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/outputs"))
    parser.add_argument("--model", default="waste8")
    parser.add_argument("--splits", nargs="+", default=["more", "val", "train"])
    arguments = parser.parse_args()
    table = load_table(arguments.data, arguments.cache, arguments.splits, model=arguments.model)
    print(f"{len(table):,} photos, features {table.features.shape[1]}")


if __name__ == "__main__":
    main()
