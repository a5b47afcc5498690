"""Whether a bundle's network says the same as the Keras network that it was exported from.

    python benchmarks/keras_parity.py ../shared/data/waste8/val [--model waste8]

The Keras network is put together again from the bundle's `backbone.safetensors` and the heads in its `model.onnx`. The
files that `binsight export` writes are compared with the bundle by that command; so this is the other half of the way.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from rich.progress import track

from binsight.bundle import Bundle, load_bundle, resolve_bundle
from binsight.export.parity import check_parity
from binsight.imaging import prepare_photo, read_photo
from binsight.training.backbones import find_backbone
from binsight.training.fine_tune.network import build_network


def main() -> None:
    """Compare on every photo, and print how far they agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path, help="folder with .jpg photos")
    parser.add_argument("--model", default="waste8", help="a bundle with backbone.safetensors and no inner layer")
    arguments = parser.parse_args()
    bundle = load_bundle(resolve_bundle(arguments.model))
    network = keras_network(arguments.model, bundle)

    def run(images: NDArray[np.uint8], /) -> Mapping[str, NDArray[np.floating]]:
        return {name: np.asarray(value) for name, value in network.predict_on_batch(images.astype(np.float32)).items()}

    paths = sorted(arguments.photos.rglob("*.jpg"))
    photos = (prepare_photo(read_photo(path), bundle.manifest.preprocess) for path in track(paths))
    found = check_parity(bundle, run, photos)
    print(f"{bundle.label}, ONNX against Keras {keras.__version__}, {found.photos} photos")
    print(f"same category: {found.same_label:.2%}")
    print(f"difference of probabilities: largest {found.max_difference:.6f}, median {found.median_difference:.6f}")
    print(f"difference of the biodegradable probability: largest {found.max_biodegradable_difference}")


def keras_network(name: str, bundle: Bundle) -> keras.Model:
    """The network as it was trained, with the weights as the bundle stores them."""
    graph = onnx.load_model_from_string(bundle.read("model.onnx")).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    heads = ["logits"] + ["biodegradable_logit"] * bundle.manifest.taxonomy.has_biodegradability
    backbone = find_backbone(f"bundle:{name}").build()
    network = build_network(backbone, classes=len(bundle.manifest.taxonomy), biodegradable=len(heads) > 1)
    for head in heads:
        network.get_layer(head).set_weights([constants[f"{head}.weight"], constants[f"{head}.bias"]])
    return network


if __name__ == "__main__":
    main()
