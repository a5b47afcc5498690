"""Give a bundle of `waste8` what `binsight adapt` and the stream check need, from the photos it was trained on.

    python recipes/waste8/replay.py --data ../shared/data/waste8 --out src/binsight/models/waste8 --overwrite

That is `replay.safetensors`, and the median unfamiliarity of `val` in the manifest. `fine_tuned_lite0.py` writes both
too; this adds them to a bundle that was made before, and changes nothing else. The features are those that the bundle's
own network gives.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.heads import read_heads
from binsight.bundle import load_bundle, make_replay, resolve_bundle, write_bundle
from binsight.bundle.container import REPLAY_NAME
from binsight.dataset import scan
from binsight.imaging import prepare_photo, read_photo
from binsight.predictor import Predictor, available_cores, run_in_order

BATCH = 8


def main() -> None:
    """Read the photos, and write the bundle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--model", default="waste8")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--overwrite", action="store_true")
    arguments = parser.parse_args()
    predictor = Predictor.load(arguments.model, threads=1)
    bundle = load_bundle(resolve_bundle(arguments.model))
    found = [scan(arguments.data / split, taxonomy=predictor.taxonomy) for split in ("train", "val")]
    seen = [look(predictor, [part.file(s) for s in part]) for part in found]
    features = [part for part, _ in seen]
    heads = read_heads(bundle.read_model())
    weights = [heads.categories.weight, *([heads.biodegradable.weight] if heads.biodegradable else [])]
    replay = make_replay(
        np.concatenate(features),
        np.concatenate([part.labels for part in found]),
        np.repeat([False, True], [len(part) for part in found]),
        heads=np.concatenate(weights, axis=1),
    )
    files = {name: bundle.read(name) for name in bundle.manifest.files} | {REPLAY_NAME: replay.to_bytes()}
    median = {"unfamiliarity_median": round(float(np.median(seen[1][1])), 6)}
    manifest = replace(bundle.manifest, training={**bundle.manifest.training, **median})
    write_bundle(arguments.out, manifest, files, overwrite=arguments.overwrite)
    print(f"{REPLAY_NAME}: {len(files[REPLAY_NAME]):,} bytes, {len(replay.labels):,} photos")


def look(predictor: Predictor, paths: Sequence[Path]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features `(n, d)` and unfamiliarity `(n, 1)` of n photos."""

    def see(first: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        photos = [prepare_photo(read_photo(path), predictor.spec) for path in paths[first : first + BATCH]]
        outputs = predictor.run(np.stack(photos), ["features", "unfamiliarity"])
        if outputs.features is None or outputs.unfamiliarity is None:
            raise SystemExit("the network lacks an output, features or unfamiliarity")
        return outputs.features, outputs.unfamiliarity

    found = list(run_in_order(see, range(0, len(paths), BATCH), workers=available_cores()))
    return np.concatenate([features for features, _ in found]), np.concatenate([strange for _, strange in found])


if __name__ == "__main__":
    main()
