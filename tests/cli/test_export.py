"""`binsight export`: write a file, check it, say what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.export.tiny_network import conv_bundle, save_photos

from binsight.bundle import load_bundle, verify_bundle
from binsight.export import formats

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bundle with convolutions that no test changes."""
    return conv_bundle(tmp_path_factory.mktemp("bundle") / "conv")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 30 photos."""
    return save_photos(tmp_path_factory.mktemp("pictures"), 30)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch, shared_bundle: Path) -> None:
    """Make every export give another network: the one of the tiny bundle."""
    other = (shared_bundle / "model.onnx").read_bytes()
    monkeypatch.setattr(formats, "export_network", lambda *args: other)


def test_onnx(binsight: RunBinsight, conv: Path, pictures: Path, tmp_path: Path) -> None:
    """The network is copied out, run on every photo and found to be the same."""
    out = tmp_path / "new" / "x.onnx"
    run = binsight("export", conv, "--format", "onnx", "--photos", pictures, "--out", out)
    assert (run.code, run.err) == (0, "")
    assert out.read_bytes() == (conv / "model.onnx").read_bytes()
    assert run.lines() == [
        "same category on 100.00% of 30 photos, required 99.9%",
        "difference of probabilities: largest 0.00000, median 0.00000",
        "difference of the biodegradable probability: largest 0.00000",
        f"{out}  ({out.stat().st_size / 1e6:.2f} MB)",
    ]


def test_int8_is_checked_on_photos_that_did_not_calibrate_it(
    binsight: RunBinsight, conv: Path, pictures: Path, tmp_path: Path
) -> None:
    """Of 30 photos half calibrate and half check; the result goes to a name made of the bundle's."""
    run = binsight(
        "export", conv, "--format", "onnx-int8", "--photos", pictures, "--json", "--out", tmp_path / "x.onnx"
    )
    answer = json.loads(run.out)
    assert (run.code, run.err) == (0, "")
    assert (answer["format"], answer["required_same_label"]) == ("onnx-int8", 0.99)
    assert (answer["parity"]["photos"], answer["parity"]["same_label"]) == (15, 1.0)
    assert 0 < answer["parity"]["median_difference"] <= answer["parity"]["max_difference"] < 0.2
    assert answer["bytes"] == (tmp_path / "x.onnx").stat().st_size


def test_litert(binsight: RunBinsight, conv: Path, pictures: Path, tmp_path: Path) -> None:
    """LiteRT says the same."""
    out = tmp_path / "x.tflite"
    run = binsight("export", conv, "--format", "litert", "--photos", pictures, "--out", out, "--json")
    assert json.loads(run.out)["parity"]["same_label"] == 1.0
    assert out.read_bytes()[4:8] == b"TFL3"


def test_default_name_and_no_photos(
    binsight: RunBinsight, conv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --out the file is called after the model; without photos it says that nothing was checked."""
    monkeypatch.chdir(tmp_path)
    run = binsight("export", conv, "--format", "onnx")
    assert run.lines()[0] == "not checked against the bundle: give --photos to do so"
    assert run.lines()[1].startswith("tiny-1.0.0.onnx  (")
    assert (tmp_path / "tiny-1.0.0.onnx").is_file()
    assert json.loads(binsight("export", conv, "--format", "onnx", "--json", "--overwrite").out)["parity"] is None


class TestIntoBundle:
    def test_copy(self, binsight: RunBinsight, conv: Path, pictures: Path, tmp_path: Path) -> None:
        """A copy of the bundle has the file and what was measured; the bundle is as it was."""
        before = (conv / "bundle.json").read_bytes()
        out = tmp_path / "edge.zip"
        run = binsight("export", conv, "--format", "onnx-int8", "--photos", pictures, "--into-bundle", "--out", out)
        assert run.code == 0
        assert verify_bundle(out) == []
        manifest = load_bundle(out).manifest
        assert "model.int8.onnx" in manifest.files
        assert manifest.training["exports"]["model.int8.onnx"]["photos"] == 15
        assert (conv / "bundle.json").read_bytes() == before

    def test_in_place(self, binsight: RunBinsight, pictures: Path, tmp_path: Path) -> None:
        """With --overwrite and no --out the bundle itself gets the file."""
        own = conv_bundle(tmp_path / "own")
        run = binsight("export", own, "--format", "onnx-int8", "--photos", pictures, "--into-bundle", "--overwrite")
        assert run.code == 0
        assert "model.int8.onnx" in load_bundle(own).manifest.files

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--format", "litert", "--into-bundle"), "--into-bundle needs --out COPY, or --overwrite"),
            (("--format", "onnx", "--into-bundle", "--out", "x"), "every bundle has its network as ONNX inside"),
        ],
    )
    def test_wrong_use(self, binsight: RunBinsight, conv: Path, arguments: tuple[str, ...], words: str) -> None:
        """What cannot be meant is refused."""
        run = binsight("export", conv, *arguments)
        assert run.code == 2
        assert words in run.err


class TestMissed:
    @pytest.mark.usefixtures("wrong")
    def test_nothing_is_written(self, binsight: RunBinsight, conv: Path, pictures: Path, tmp_path: Path) -> None:
        """A network that says something else is not written, and the exit code is 1."""
        out = tmp_path / "x.onnx"
        run = binsight("export", conv, "--format", "onnx", "--photos", pictures, "--out", out)
        assert run.code == 1
        assert "(MISSED)" in run.lines()[0]
        assert run.lines()[-1] == "nothing written; --force writes it all the same"
        assert not out.exists()

    @pytest.mark.usefixtures("wrong")
    def test_force(self, binsight: RunBinsight, conv: Path, pictures: Path, tmp_path: Path) -> None:
        """With --force it is written, and the exit code is 1 all the same."""
        out = tmp_path / "x.onnx"
        run = binsight("export", conv, "--format", "onnx", "--photos", pictures, "--out", out, "--force", "--json")
        assert (run.code, json.loads(run.out)["written"]) == (1, str(out))
        assert out.is_file()

    @pytest.mark.usefixtures("wrong")
    def test_json(self, binsight: RunBinsight, conv: Path, pictures: Path, tmp_path: Path) -> None:
        """JSON says that nothing was written."""
        run = binsight("export", conv, "--format", "onnx", "--photos", pictures, "--out", tmp_path / "x", "--json")
        assert (run.code, json.loads(run.out)["written"]) == (1, None)


class TestRefused:
    def test_existing_file(self, binsight: RunBinsight, conv: Path, tmp_path: Path) -> None:
        """A file that is there is replaced only on request."""
        out = tmp_path / "x.onnx"
        out.write_text("mine")
        run = binsight("export", conv, "--format", "onnx", "--out", out)
        assert (run.code, out.read_text()) == (2, "mine")
        assert run.err == f"binsight: {out} exists; choose another --out, or replace it with --overwrite\n"
        assert binsight("export", conv, "--format", "onnx", "--out", out, "--overwrite").code == 0

    def test_folder(self, binsight: RunBinsight, conv: Path, tmp_path: Path) -> None:
        """A folder cannot be the file."""
        run = binsight("export", conv, "--format", "onnx", "--out", tmp_path, "--overwrite")
        assert (run.code, run.err) == (2, f"binsight: {tmp_path} is a folder; --out is the file to write\n")

    @pytest.mark.parametrize("photos", [(), ("--photos", "one")])
    def test_int8_without_photos(
        self,
        binsight: RunBinsight,
        conv: Path,
        tmp_path: Path,
        photos: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """There must be one to calibrate and one to check."""
        monkeypatch.chdir(tmp_path)
        save_photos(tmp_path / "one", 1)
        run = binsight("export", conv, "--format", "onnx-int8", *photos)
        assert run.code == 2
        assert "onnx-int8 needs --photos with at least 2 photos" in run.err

    def test_photos_that_are_none(self, binsight: RunBinsight, conv: Path, tmp_path: Path) -> None:
        """A missing folder, and a file that is no photo, are named."""
        run = binsight("export", conv, "--format", "onnx", "--photos", tmp_path / "none", "--out", tmp_path / "x")
        assert (run.code, run.err) == (2, f"binsight: {tmp_path / 'none'}: no such file or folder\n")
        (tmp_path / "bad.png").write_bytes(b"no photo")
        run = binsight("export", conv, "--format", "onnx", "--photos", tmp_path / "bad.png", "--out", tmp_path / "x")
        assert run.code == 2
        assert run.err.startswith(f"binsight: {tmp_path / 'bad.png'}: ")
        assert not (tmp_path / "x").exists()


class TestProject:
    def test_it_says_what_it_needs(self, binsight: RunBinsight, conv: Path, tmp_path: Path) -> None:
        """A model that is not small enough is refused in one line."""
        run = binsight("export", conv, "--to", "esp32", "--out", tmp_path / "d")
        assert run.code == 2
        assert run.err.splitlines()[-1] == (
            "binsight: expected a micro model, got tiny 1.0.0 without micro.tflite; "
            "export waste8-micro, or a model trained by its recipe"
        )
        assert not (tmp_path / "d").exists()

    @pytest.mark.parametrize("extra", ["--into-bundle", "--force", "--photos=."])
    def test_options_of_other_formats(self, binsight: RunBinsight, conv: Path, extra: str) -> None:
        """They would have no effect, so they are refused."""
        run = binsight("export", conv, "--format", "esp32", extra)
        assert run.code == 2
        assert "esp32 takes no --into-bundle, --photos and --force" in run.err
