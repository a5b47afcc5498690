"""The package as it is installed: its version, its types, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata, resources
from typing import TYPE_CHECKING

import pytest
from tests.adapt.world import camera, factory_bundle
from tests.cli.conftest import save_photo

import binsight

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"keras", "matplotlib", "onnx", "pydantic", "ray", "scipy", "sklearn", "tensorflow", "torch"}

PREDICT = """
from binsight.predictor import Predictor, predict_files
predictor = Predictor.load({bundle!r})
assert predictor.predict_file({photo!r}).category == "red"
assert predictor.predict_with_heatmap(open({photo!r}, "rb").read())[1].shape == (30, 40, 3)
assert [p.category for p in predict_files(predictor, [{photo!r}] * 3, workers=2)] == ["red"] * 3
"""
COMMAND = """
import sys
from binsight.cli import main
sys.argv = ["binsight", "predict", {photo!r}, "--model", {bundle!r}, {form!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code
"""


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that are loaded after some code has run in a fresh process."""
    listing = "import sys\nprint(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    command = [sys.executable, "-W", "error", "-c", f"{code}\n{listing}"]
    run = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(run.stderr.split())


@pytest.fixture
def names(tmp_path: Path, shared_bundle: Path) -> dict[str, str]:
    """Return where the tiny bundle and a red photo are."""
    return {"bundle": str(shared_bundle), "photo": str(save_photo(tmp_path / "red.png", (255, 0, 0)))}


def test_version_is_that_of_the_installation() -> None:
    """The version in the code is the one that was installed."""
    assert binsight.__version__ == metadata.version("binsight")


def test_an_edge_device_loads_only_what_its_extra_installs() -> None:
    """Its modules share the line's broker, camera and clock, not the line's settings or ledger."""
    code = "from binsight.edge import delivery, device, engines, outbox\nfrom binsight.cli import edge_run"
    assert not modules_after(code) & {"pydantic", "sqlalchemy", "jinja2", "av", "asyncua", "fastapi", "starlette"}


def test_package_is_typed() -> None:
    """The marker that tells type checkers to read the package's annotations is there."""
    assert resources.files("binsight").joinpath("py.typed").is_file()


def test_importing_loads_next_to_nothing() -> None:
    """`import binsight` loads neither NumPy nor anything heavier."""
    assert not modules_after("import binsight") & {*HEAVY, "numpy", "onnxruntime", "rich", "PIL", "click"}


def test_predicting_loads_nothing_heavy(names: dict[str, str]) -> None:
    """Loading a model, predicting and drawing a heat map load no training library, and neither rich nor click."""
    assert not modules_after(PREDICT.format(**names)) & {*HEAVY, "rich", "click"}


@pytest.mark.parametrize("form", ["--json", "--csv", "--quiet"])
def test_predict_command_loads_nothing_heavy(names: dict[str, str], form: str) -> None:
    """The command line loads no training library either, and rich for the table only."""
    modules = modules_after(COMMAND.format(**names, form=form))
    assert "onnxruntime" in modules
    assert not modules & HEAVY
    assert ("rich" in modules) == (form == "--quiet")


def test_teaching_a_camera_loads_nothing_heavy(tmp_path: Path) -> None:
    """`binsight adapt` works where only predicting is installed."""
    bundle, photos = factory_bundle(tmp_path / "bundle"), camera(tmp_path / "photos", {"red": 4, "green": 4})
    code = f"from binsight.adapt import adapt\nadapt({str(bundle)!r}, {str(photos)!r}, {str(tmp_path / 'out')!r})"
    assert not modules_after(code) & {*HEAVY, "flask", "jinja2", "rich", "click", "safetensors"}
    assert (tmp_path / "out" / "bundle.json").is_file()


def test_driver_of_a_batch_job_is_light() -> None:
    """Planning and looking load neither the runtime nor a training library; only the engine chosen is loaded."""
    loaded = modules_after("import binsight.batch.plan, binsight.batch.run, binsight.batch.engines.local")
    assert not loaded & {*HEAVY, "jinja2", "rich", "click"}


def test_bundles_are_read_without_the_runtime(names: dict[str, str]) -> None:
    """Describing a bundle loads no ONNX Runtime."""
    code = f"from binsight.bundle import load_bundle\nprint(load_bundle({names['bundle']!r}).label)"
    assert not modules_after(code) & {*HEAVY, "onnxruntime", "rich", "click"}


def test_statistics_need_numpy_alone() -> None:
    """Temperatures, thresholds, folds and intervals can be had where only predicting is installed."""
    modules = ", ".join(f"binsight.probability.{name}" for name in ("calibration", "folds", "intervals", "thresholds"))
    loaded = modules_after(f"import {modules}")
    assert not loaded & {*HEAVY, "onnxruntime", "PIL", "rich", "click"}
