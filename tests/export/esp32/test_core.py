"""The C core says, bit for bit, what binsight and the micro kernels say."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.export.esp32.conftest import build, export
from tests.export.esp32.micro_network import SPEC, THRESHOLDS, micro_file
from tests.tiny_bundle import tiny_taxonomy

from binsight.export.engines import import_runtime
from binsight.export.esp32.c_sources import make_pattern
from binsight.export.esp32.micro_file import read_micro_file
from binsight.export.micro import as_input, run_micro
from binsight.imaging import PreprocessSpec, resize_image
from binsight.probability import softmax

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tests.export.esp32.conftest import Device

# Landscape, portrait, both far from the input's proportions, smaller than it, equal to it, a single pixel.
_SIZES = ((120, 160), (160, 120), (9, 700), (700, 9), (11, 13), (24, 40), (24, 41), (60, 40), (1, 1), (97, 41))


def pictures(sizes: tuple[tuple[int, int], ...] = _SIZES) -> list[NDArray[np.uint8]]:
    """A picture of each size."""
    return [make_pattern(100 + which, *size) for which, size in enumerate(sizes)]


def inputs(photos: list[NDArray[np.uint8]], spec: PreprocessSpec = SPEC) -> NDArray[np.int8]:
    """What they become by `imaging`, minus 128."""
    return np.stack([(resize_image(photo, spec) ^ 128).view(np.int8) for photo in photos])


def as_rgb565(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours that are left of a picture in 16 bits, each in the middle of those it may have been."""
    red, green, blue = np.moveaxis(photo, 2, 0)
    parts = [(red >> 3, 5), (green >> 2, 6), (blue >> 3, 5)]
    return np.stack([value << (8 - bits) | 1 << (7 - bits) for value, bits in parts], axis=2)


class TestPrepare:
    def test_frames_become_what_imaging_makes_of_them(self, device: Device) -> None:
        """Of every size and proportion, to the last bit."""
        np.testing.assert_array_equal(device.run(pictures())[0], inputs(pictures()))

    @pytest.mark.parametrize(
        "spec",
        [
            PreprocessSpec(size=SPEC.size, fit="crop", crop_fraction=0.8, filter="bilinear"),
            PreprocessSpec(size=SPEC.size, filter="box"),
        ],
        ids=["crop-bilinear", "stretch-box"],
    )
    def test_every_kind_of_preprocessing(
        self, micro: bytes, spec: PreprocessSpec, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Cropped or stretched, with either filter."""
        cropping = export(tmp_path_factory.mktemp("crop"), micro, spec)
        np.testing.assert_array_equal(cropping.run(pictures())[0], inputs(pictures(), spec))

    def test_a_cameras_colours_in_16_bits(self, device: Device) -> None:
        """What was cut off is taken for its middle; then everything is the same."""
        reduced = [as_rgb565(photo) for photo in pictures()]
        np.testing.assert_array_equal(device.run(pictures(), "--rgb565")[0], inputs(reduced))


@pytest.fixture(scope="module")
def grey_network() -> bytes:
    """Return a micro network that sees one channel."""
    return micro_file(channels=1)


@pytest.fixture(scope="module")
def grey(grey_network: bytes, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """Return its project, compiled."""
    return export(tmp_path_factory.mktemp("grey"), grey_network, SPEC, channels=1)


class TestGrey:
    """A micro model that sees one channel."""

    def test_frames_become_grey(self, grey: Device) -> None:
        """To the last bit what `imaging` resizes, in grey: near Pillow's, halves to the even one."""
        halves = np.full((24, 40, 3), (0, 0, 250), np.uint8), np.full((24, 40, 3), (0, 250, 250), np.uint8)
        photos = [*pictures(), *halves]
        resized = np.stack([resize_image(photo, SPEC) for photo in photos])
        found = grey.run(photos)[0]
        np.testing.assert_array_equal(found, as_input(resized, 1))
        assert found[-2:, 0, 0, 0].tolist() == [28 - 128, 175 - 128]  # of 28.5 and 175.25
        pillow = np.stack([Image.fromarray(picture).convert("L") for picture in resized])
        assert np.abs(found[..., 0] + 128.0 - pillow).max() <= 1

    def test_it_answers_like_the_micro_kernels(self, grey: Device, grey_network: bytes) -> None:
        """Byte for byte."""
        pytest.importorskip("tflite_micro", reason="the micro interpreter exists for Python 3.11 on Linux only")
        given, answers = grey.run(pictures(((48, 80),) * 20))
        np.testing.assert_array_equal(answers, run_micro(grey_network, given))

    def test_its_own_checks_pass(self, grey: Device) -> None:
        """Compiled as strictly as gcc can: golden pictures, sizes, formats, damaged frames."""
        done = build(grey.folder, "test")
        assert done.returncode == 0, done.stdout + done.stderr


class TestNetwork:
    @pytest.mark.parametrize(("resolver", "most"), [("BUILTIN_REF", 0), ("BUILTIN_WITHOUT_DEFAULT_DELEGATES", 4)])
    def test_it_answers_like_litert(self, device: Device, micro: bytes, resolver: str, most: int) -> None:
        """Byte for byte like the reference kernels; the optimised ones round elsewhere, and give the same label."""
        photos = pictures(((48, 80),) * 40)
        found = device.run(photos)[1]
        litert = import_runtime("litert")
        interpreter = litert.Interpreter(
            model_content=micro, experimental_op_resolver_type=litert.OpResolverType[resolver]
        )
        interpreter.allocate_tensors()
        source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
        answers = []
        for picture in inputs(photos):
            interpreter.set_tensor(source, picture[None])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(target)[0].copy())
        assert np.abs(np.stack(answers).astype(int) - found).max() <= most
        np.testing.assert_array_equal(np.argmax(answers, axis=1), found.argmax(axis=1))
        assert len(set(found.argmax(axis=1))) > 1

    def test_it_answers_like_the_micro_kernels(self, device: Device, micro: bytes) -> None:
        """Byte for byte."""
        pytest.importorskip("tflite_micro", reason="the micro interpreter is there for some versions of Python only")
        photos = pictures(((48, 80),) * 40)
        np.testing.assert_array_equal(device.run(photos)[1], run_micro(micro, inputs(photos)))


class TestDecision:
    def test_it_decides_like_the_predictor(self, device: Device, micro: bytes) -> None:
        """The same probabilities to the digits shown; accepted from the class's threshold on."""
        photos, ids = pictures(((48, 80),) * 40), tiny_taxonomy().ids
        scale = read_micro_file(micro).logit_scale
        expected = softmax(scale * device.run(photos)[1], temperature=0.7)
        lines = [line for line in device.classify(photos).stdout.decode().splitlines() if line.startswith("-: ")]
        for line, row in zip(lines, expected, strict=True):
            best = int(row.argmax())
            verdict = "accept" if row[best] >= THRESHOLDS.confidence[best] else "low_confidence"
            assert line == f"-: {ids[best]} {row[best]:.4f} {verdict}"
        assert {line.split()[-1] for line in lines} == {"accept", "low_confidence"}


class TestProgram:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "no picture in it"),
            (b"\xff\xd8\xff", "expected a PPM picture"),
            (b"P6 4 4 255\n123", "it ends too early"),
            (b"P6 4 4 65535\n", "expected 8 bits"),
            (b"P6 0 4 255\n", "width and height"),
            (b"P6 99999999999999999999 4 255\n", "width and height"),
            (b"P6 # a comment that never ends", "width and height"),
        ],
    )
    def test_bad_pictures(self, device: Device, data: bytes, words: str) -> None:
        """Each is told in one line."""
        done = subprocess.run([device.folder / "host" / "classify", "-"], input=data, capture_output=True, check=False)
        assert done.returncode == 1
        assert words in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1

    def test_comments_in_the_head(self, device: Device) -> None:
        """As editors write them."""
        command = [device.folder / "host" / "classify", "-"]
        done = subprocess.run(command, input=b"P6\n# by hand\n1 1\n#\n255\nabc", capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


class TestChecks:
    def test_make_test_passes(self, device: Device) -> None:
        """With gcc and make alone, warnings being errors, under the sanitizers."""
        done = build(device.folder, "test")
        assert done.returncode == 0, done.stderr
        assert "-std=c99 -Wall -Wextra -Werror -pedantic" in done.stdout
        assert "tiny 1.0.0 passed all checks" in done.stdout

    @pytest.mark.parametrize(
        ("file", "old", "new"),
        [
            ("core/model.h", "BINSIGHT_FILTER_BOX 0", "BINSIGHT_FILTER_BOX 1"),
            (
                "host/plan.c",
                "{AVERAGE_POOLING, {6, 10, 12}, {1, 1, 12}, 6,",
                "{AVERAGE_POOLING, {6, 10, 12}, {1, 1, 12}, 5,",
            ),
            ("core/protocol.c", "found >= size", "found > size"),
        ],
        ids=["preprocessing", "network", "memory"],
    )
    def test_they_fail_on_a_fault(self, device: Device, tmp_path: Path, file: str, old: str, new: str) -> None:
        """One sign changed, wherever it is."""
        shutil.copytree(device.folder, tmp_path / "project", ignore=shutil.ignore_patterns("checks"))
        changed = tmp_path / "project" / file
        text = changed.read_text()
        assert old in text
        changed.write_text(text.replace(old, new))
        assert build(tmp_path / "project", "checks", "SANITIZE=").returncode == 0
        done = subprocess.run([tmp_path / "project" / "host" / "checks"], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert ": expected " in done.stderr
