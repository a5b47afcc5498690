"""The exported folder: what is refused, what is written, and what the firmware must and must not hold."""

from __future__ import annotations

import csv
import itertools
import json
import re
from typing import TYPE_CHECKING

import pytest
from tests.export.esp32.conftest import build, needs_compiler
from tests.export.esp32.micro_network import SPEC, micro_bundle, micro_file
from tests.tiny_bundle import tiny_bundle, tiny_taxonomy

from binsight.bundle import builtin_bundles, load_bundle, resolve_bundle
from binsight.errors import ExportError, OutputError
from binsight.export.esp32 import write_project
from binsight.export.esp32.micro_file import read_micro_file
from binsight.imaging import PreprocessSpec
from binsight.taxonomy import Taxonomy, WasteClass

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def project(micro: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an exported folder that no test changes."""
    folder = tmp_path_factory.mktemp("project")
    return write_project(load_bundle(micro_bundle(folder / "b", micro)), folder / "d").out


def export(folder: Path, data: bytes, **changes: object) -> Path:
    """Export a bundle with that micro network."""
    bundle = load_bundle(micro_bundle(folder / "b", data, **changes))
    return write_project(bundle, folder / "d").out


class TestRefused:
    @pytest.mark.parametrize("spec", [{"fit": "letterbox"}, {"filter": "lanczos"}], ids=["letterbox", "lanczos"])
    def test_preprocessing_that_the_core_cannot_do(self, micro: bytes, tmp_path: Path, spec: dict[str, str]) -> None:
        """It says which it can."""
        wanted = PreprocessSpec(**{"size": SPEC.size, "filter": "bilinear"} | spec)
        with pytest.raises(ExportError, match="stretch or crop with the filter box or bilinear"):
            export(tmp_path, micro, spec=wanted)

    def test_a_network_for_another_size_or_other_classes(self, micro: bytes, tmp_path: Path) -> None:
        """The manifest and the network must agree."""
        with pytest.raises(ExportError, match=r"got \(24, 40\) and 3"):
            export(tmp_path, micro, spec=PreprocessSpec(size=(40, 24), filter="bilinear"))

    def test_memory_that_nobody_measured(self, micro: bytes, tmp_path: Path) -> None:
        """The firmware would reserve too little."""
        with pytest.raises(ExportError, match=r"training\.micro\.arena_bytes"):
            export(tmp_path, micro, training={})

    def test_an_operator_that_is_not_for_small_devices(self, tmp_path: Path) -> None:
        """It is named by its number."""
        import tensorflow as tf  # noqa: PLC0415

        with pytest.raises(ExportError, match="got the operator 25 of TensorFlow Lite"):
            export(tmp_path, micro_file(tf.nn.softmax))

    @pytest.mark.parametrize("cut", [0, 7, 100, 1000], ids=str)
    def test_a_damaged_network(self, micro: bytes, cut: int) -> None:
        """Whatever is read from it, there is one kind of error."""
        with pytest.raises(ExportError):
            read_micro_file(micro[:cut])

    def test_damaged_bytes(self, micro: bytes) -> None:
        """Each of them changed: the file is read, or there is that error."""
        for position in range(0, len(micro), 23):
            changed = bytearray(micro)
            changed[position] ^= 0xFF
            try:
                read_micro_file(bytes(changed))
            except ExportError:
                continue

    def test_what_is_there(self, micro: bytes, tmp_path: Path, project: Path) -> None:
        """A folder is replaced only on request, and only one that was exported."""
        bundle = load_bundle(micro_bundle(tmp_path / "b", micro))
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").write_text("mine")
        with pytest.raises(OutputError, match="exists; choose another --out, or replace it with --overwrite"):
            write_project(bundle, project)
        with pytest.raises(OutputError, match="is no project for ESP32"):
            write_project(bundle, tmp_path / "mine", overwrite=True)
        assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
        out = write_project(bundle, tmp_path / "d").out
        (out / "old").touch()
        assert not (write_project(bundle, out, overwrite=True).out / "old").exists()

    def test_below_a_file(self, micro: bytes, tmp_path: Path) -> None:
        """There can be no folder."""
        (tmp_path / "f").touch()
        bundle = load_bundle(micro_bundle(tmp_path / "b", micro))
        with pytest.raises(OutputError, match="f is a file; expected a folder"):
            write_project(bundle, tmp_path / "f" / "d")

    def test_no_micro_model(self, tmp_path: Path) -> None:
        """It says what would be one."""
        with pytest.raises(ExportError, match="expected a micro model, got tiny"):
            write_project(load_bundle(tiny_bundle(tmp_path / "b")), tmp_path / "d")


class TestWritten:
    def test_classes_may_be_called_anything(self, micro: bytes, tmp_path: Path) -> None:
        """Names of streams are written as JSON needs them, which survives C."""
        stream = 'Wert"stoff\\tonne ä'
        classes = [WasteClass(c.id, c.title, c.biodegradable, stream, c.advice) for c in tiny_taxonomy().classes]
        out = export(tmp_path, micro, taxonomy=Taxonomy("colours", tuple(classes)))
        found = re.search(r'\{"red", ("(?:[^"\\]|\\.)*"),', (out / "core" / "model.c").read_text())
        assert found is not None
        in_c = found[1].encode().decode("unicode_escape").strip('"')
        assert json.loads(f'"{in_c}"') == stream

    def test_the_same_bundle_gives_the_same_files(self, micro: bytes, tmp_path: Path, project: Path) -> None:
        """Byte for byte, so that a firmware can be built again."""
        again = export(tmp_path, micro)
        names = sorted(path.relative_to(project) for path in project.rglob("*") if path.is_file())
        assert names == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
        assert all((project / name).read_bytes() == (again / name).read_bytes() for name in names)

    def test_the_readme_tells_the_models_figures(self, project: Path) -> None:
        """And says what was never done."""
        text = (project / "README.md").read_text()
        assert "# tiny 1.0.0 on an ESP32" in text
        assert "20 kB of memory" in text
        assert "never run on one" in text
        assert "@" not in re.sub(r"`[^`]*`", "", text)


class TestFirmware:
    def sources(self, project: Path) -> str:
        return "".join(path.read_text() for path in sorted((project / "main").iterdir()) if path.suffix != ".yml")

    def test_every_setting_it_reads_can_be_set(self, project: Path) -> None:
        """Each `CONFIG_BINSIGHT_…` of the sources and defaults is in the Kconfig, and the other way round."""
        offered = set(
            re.findall(r"^\s*config (\w+)", (project / "main" / "Kconfig.projbuild").read_text(), re.MULTILINE)
        )
        used = set(re.findall(r"CONFIG_(BINSIGHT_\w+)", self.sources(project)))
        defaults = {
            name for path in project.glob("sdkconfig*") for name in re.findall(r"BINSIGHT_\w+", path.read_text())
        }
        implied = {"BINSIGHT_MODE_DEVICE"}  # what is left when the others are off
        assert used | defaults | implied == offered

    def test_versions_are_pinned(self, project: Path) -> None:
        """Components exactly, ESP-IDF to a minor version."""
        text = (project / "main" / "idf_component.yml").read_text()
        versions = dict(re.findall(r'^  ([\w/-]+): "(.*)"$', text, re.MULTILINE))
        assert set(versions) == {"idf", "espressif/esp-tflite-micro", "espressif/esp-nn", "espressif/esp32-camera"}
        assert all(v.startswith("==") for name, v in versions.items() if name != "idf")

    def test_no_secret_can_be_compiled_in(self, project: Path) -> None:
        """No setting of the build is one; all come from the partition that the partition table has."""
        offered = (project / "main" / "Kconfig.projbuild").read_text().lower()
        assert not re.search(r"config \w*(pass|key|secret|ssid|token)", offered)
        rows = list(csv.reader((project / "secrets.csv").read_text().splitlines()))
        read = set(re.findall(r'(?:read_text\(from|nvs_get_str\(from), "(\w+)"', self.sources(project)))
        assert {row[0] for row in rows[2:]} == read
        assert "\nsecrets," in (project / "partitions.csv").read_text()

    def test_the_partitions_fit(self, project: Path) -> None:
        """One after the other, two equal programs, all within 4 MB."""
        lines = (project / "partitions.csv").read_text().splitlines()
        rows = [[cell.strip() for cell in line.split(",")] for line in lines if not line.startswith("#")]
        places = [(int(row[3], 16), int(row[4], 16)) for row in rows]
        assert all(at + size <= after for (at, size), (after, _) in itertools.pairwise(places))
        assert sum(places[-1]) <= 4 << 20
        assert places[-1][1] == places[-2][1]
        assert all(at % 0x10000 == 0 for at, _ in places[-2:])

    def test_pins_of_the_ai_thinker_board(self, project: Path) -> None:
        """As printed on it."""
        text = (project / "main" / "camera.c").read_text()
        block = text[text.index("AI_THINKER") : text.index("ESP32_S3_EYE")]
        pins = {name: int(value) for name, value in re.findall(r"\.pin_(\w+) = (-?\d+)", block)}
        data = [pins[f"d{bit}"] for bit in range(7, -1, -1)]
        assert data == [35, 34, 39, 36, 21, 19, 18, 5]
        assert [pins[name] for name in ("pwdn", "xclk", "sccb_sda", "sccb_scl", "vsync", "href", "pclk")] == [
            32, 0, 26, 27, 25, 23, 22,
        ]  # fmt: skip

    def test_stale_pictures_are_not_taken(self, project: Path) -> None:
        """The driver keeps the newest picture."""
        assert ".grab_mode = CAMERA_GRAB_LATEST" in (project / "main" / "camera.c").read_text()


@pytest.mark.skipif("waste8-micro" not in builtin_bundles(), reason="waste8-micro is not in this checkout")
def test_the_model_of_the_package(tmp_path: Path) -> None:
    """It becomes a project, and its checks pass."""
    needs_compiler()
    project = write_project(load_bundle(resolve_bundle("waste8-micro")), tmp_path / "d")
    done = build(project.out, "test")
    assert done.returncode == 0, done.stderr
    assert "passed all checks" in done.stdout
