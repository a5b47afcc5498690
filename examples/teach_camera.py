"""Teach the model in the package a camera with a few photos of each class, and say what it was worth.

python examples/teach_camera.py PHOTOS BUNDLE
"""

from __future__ import annotations

import sys

from binsight.adapt import adapt
from binsight.predictor import Predictor


def main(photos: str, out: str) -> None:
    """Teach, then use what was taught."""
    result = adapt("waste8", photos, out)
    print(f"right on this camera: {result.accuracy.value:.0%}, before {result.accuracy_before.value:.0%}")
    for wish in result.wishes:
        print("would need more:", wish)
    manifest = Predictor.load(out).bundle.manifest
    print(f"{out}: {manifest.name} {manifest.version}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
