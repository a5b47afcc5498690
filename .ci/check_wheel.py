"""Install the built wheel as a user does, use it, and weigh what it brought.

python3 .ci/check_wheel.py WHEEL FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "examples" / "photos" / "plastic_bottle.jpg"
# What every new environment holds already is not counted; the bytecode that pip writes is.
NOT_OURS = ("pip", "pip-", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
MAX_BYTES = 200 << 20  # megabytes as du counts them
HEAVY = ("tensorflow", "keras", "matplotlib", "ray", "torch", "scipy", "scikit_learn", "onnx")


def main() -> None:
    """Install, weigh, classify."""
    wheel, folder = sys.argv[1:]
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(Path(folder, "bin", "python"))
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True)

    site = next(Path(folder, "lib").glob("python*/site-packages"))
    weight = sum(
        path.stat().st_size
        for entry in site.iterdir()
        if not entry.name.startswith(NOT_OURS)
        for path in [entry, *entry.rglob("*")]
        if path.is_file()
    )
    print(f"a predict-only installation: {weight / (1 << 20):.0f} MB")
    assert weight <= MAX_BYTES, f"expected at most {MAX_BYTES >> 20} MB"
    present = [name for name in HEAVY if (site / name).exists() or list(site.glob(f"{name}-*.dist-info"))]
    assert not present, f"predicting must not bring {present}"

    binsight = str(Path(folder, "bin", "binsight"))
    answer = subprocess.run(
        [binsight, "predict", str(PHOTO), "--json"], check=True, capture_output=True, text=True, cwd=folder
    )
    prediction = json.loads(answer.stdout)
    assert prediction["predicted_category"] == "plastic_bottles", prediction
    assert abs(sum(prediction["confidence_scores"].values()) - 1) < 1e-5, prediction
    for model in ("waste8", "materials"):  # the second is made from the network of the first
        subprocess.run([binsight, "model", "verify", model], check=True, cwd=folder)
    refused = subprocess.run([binsight, "predict", "missing.jpg"], check=False, capture_output=True, cwd=folder)
    assert refused.returncode == 2, refused
    print("the installed wheel classifies, verifies and refuses as it should")


if __name__ == "__main__":
    main()
