"""The example notebook runs from its first cell to its last, and is kept without outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "waste8.ipynb"
PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "waste8"
TRAIN, VAL = 10, 6  # photos of each class


def _cells(kind):
    return [c for c in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == kind]


def test_it_has_no_outputs():
    """They would be a picture of somebody's machine, and differ with every run."""
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in _cells("code"))


def test_it_can_be_read():
    """Every cell fits on a screen, and compiles."""
    for cell in _cells("code"):
        source = "".join(cell["source"])
        assert len(source.splitlines()) <= 25
        compile(source, cell["id"], "exec")


@pytest.fixture
def some_photos(tmp_path):
    """A few photos of every class, linked."""
    if not PHOTOS.is_dir():
        pytest.skip(f"needs the photos in {PHOTOS}")
    for split, count in (("train", TRAIN), ("val", VAL)):
        for folder in sorted((PHOTOS / split).iterdir()):
            target = tmp_path / "photos" / split / folder.name
            target.mkdir(parents=True)
            for photo in sorted(folder.iterdir())[:count]:
                (target / photo.name).symlink_to(photo)
    return tmp_path / "photos"


def test_it_runs(some_photos, tmp_path):
    """In a kernel of its own, with the model as its result."""
    pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
    program = (
        "import nbclient, nbformat, sys\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=300, kernel_name='python3').execute()\n"
        "print([o for c in notebook.cells if c.cell_type == 'code' for o in c.outputs if o.output_type == 'stream'])\n"
    )
    variables = {
        **os.environ,
        "BINSIGHT_PHOTOS": str(some_photos),
        "BINSIGHT_OUT": str(tmp_path / "model"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    command = [sys.executable, "-c", program, str(NOTEBOOK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "128 photos" in done.stdout
    assert (tmp_path / "model" / "bundle.json").is_file()
