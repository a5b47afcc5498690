"""`binsight model`: look at bundles, check, compare and pack them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.bundle.corrupt import files_of, write_raw
from tests.tiny_bundle import CARD, tiny_bundle, tiny_files, tiny_manifest, tiny_taxonomy

from binsight.bundle import Metric, SplitMetrics, load_bundle, resolve_bundle, verify_bundle, write_bundle
from binsight.imaging import PreprocessSpec
from binsight.probability import ReviewThresholds
from binsight.taxonomy import Taxonomy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


class TestShow:
    @pytest.mark.parametrize("form", ["bundle", "zipped"])
    def test_facts_are_shown(self, binsight: RunBinsight, request: pytest.FixtureRequest, form: str) -> None:
        """Name, version, classes, thresholds, metrics with intervals, input, recipe and files are shown."""
        run = binsight("model", "show", request.getfixturevalue(form))
        assert (run.code, run.err) == (0, "")
        for words in (
            *("tiny 1.0.0", "made 2026-01-31T12:00:00Z", "16 x 16 pixels, stretch, bicubic", "by hand", "model.onnx"),
            *("Green things", "compost", "accuracy", "0.29 to 1"),
        ):
            assert words in run.out
        assert run.lines()[0].startswith("tiny 1.0.0")

    def test_open_taxonomy_and_unused_thresholds(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """What a model leaves open or does not use is shown as such, and a metric without interval too."""
        manifest = tiny_manifest(
            tiny_taxonomy(is_open=True), metrics={"test": SplitMetrics(1234, {"loss": Metric(0.123456)})}
        )
        run = binsight("model", "show", write_bundle(tmp_path / "b", manifest, tiny_files()))
        assert " ? " in run.out
        assert "not used" in run.out
        assert "1,234" in run.out
        assert "0.1235" in run.out

    def test_json_is_the_manifest(self, binsight: RunBinsight, bundle: Path) -> None:
        """`--json` prints the manifest."""
        run = binsight("model", "show", bundle, "--json")
        assert json.loads(run.out) == load_bundle(bundle).manifest.to_dict()

    def test_card_is_printed(self, binsight: RunBinsight, bundle: Path) -> None:
        """`--card` prints the model card."""
        assert binsight("model", "show", bundle, "--card").out == CARD.decode()

    def test_altered_card_is_refused(self, binsight: RunBinsight, bundle: Path) -> None:
        """A model card that was altered is not printed."""
        (bundle / "card.md").write_text("# Trust me\n")
        run = binsight("model", "show", bundle, "--card")
        assert (run.code, run.out) == (2, "")
        assert run.err == "binsight: card.md: expected 59 bytes, got 11\n"

    @pytest.mark.parametrize("option", [(), ("--card",)])
    def test_bundle_cannot_steer_the_terminal(
        self, binsight: RunBinsight, tmp_path: Path, option: tuple[str, ...]
    ) -> None:
        """Control characters in a stranger's bundle are shown as escapes, brackets as they are."""
        evil = "\x1b]0;gotcha\x07[red]\r\x9b2J"
        manifest = tiny_manifest(
            training={evil: evil, "deep": {"x": evil}}, metrics={evil: SplitMetrics(1, {evil: Metric(0.5)})}
        )
        path = write_bundle(tmp_path / "b", manifest, {**tiny_files(), "card.md": f"# {evil}\n".encode() + b"\xff"})
        run = binsight("model", "show", path, *option)
        assert run.code == 0
        assert not {"\x1b", "\x07", "\r", "\x9b"} & set(run.out)
        assert r"\x1b]0;gotcha\x07[red]" in run.out.replace("\n", "")

    @pytest.mark.parametrize(
        ("content", "words"),
        [({}, "bundle.json: missing"), ({"bundle.json": b"{}"}, "bundle.json: expected format 1 or 2, got null")],
    )
    def test_what_is_no_bundle_is_one_line(
        self, binsight: RunBinsight, tmp_path: Path, content: dict[str, bytes], words: str
    ) -> None:
        """A folder that is no bundle ends the command with one line that names the folder and what is wrong."""
        path = write_raw(tmp_path / "b", content)
        run = binsight("model", "show", path)
        assert (run.code, run.out) == (2, "")
        assert run.err.startswith(f"binsight: {path}: {words}")
        assert run.err.count("\n") == 1

    def test_line_breaks_in_an_error_are_escaped(self, binsight: RunBinsight, bundle: Path) -> None:
        """A manifest whose keys hold line breaks and colours gives one plain line."""
        (bundle / "bundle.json").write_text('{"format": 1, "a\\nb\\u001b[31m": 1}')
        run = binsight("model", "show", bundle)
        assert run.err.count("\n") == 1
        assert "\x1b" not in run.err
        assert r"unknown key a\nb\x1b[31m" in run.err

    def test_nothing_is_cut_off_in_a_pipe(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """Where no terminal limits the width, long names are shown whole."""
        name = "biodegradable_head_accuracy_on_unfamiliar_photos"
        manifest = tiny_manifest(metrics={"not-waste-at-all": SplitMetrics(160, {name: Metric(0.931, 0.894, 0.969)})})
        run = binsight("model", "show", write_bundle(tmp_path / "b", manifest, tiny_files()))
        assert name in run.out
        assert "…" not in run.out


class TestVerify:
    @pytest.mark.parametrize("form", ["bundle", "zipped"])
    def test_sound_bundle(self, binsight: RunBinsight, request: pytest.FixtureRequest, form: str) -> None:
        """A sound bundle is called sound, with exit code 0."""
        path = request.getfixturevalue(form)
        run = binsight("model", "verify", path)
        assert (run.code, run.out, run.err) == (0, f"{path}: sound\n", "")

    @pytest.mark.parametrize("name", ["bundle.json", "card.md", "model.onnx"])
    def test_changed_byte_is_named(self, binsight: RunBinsight, bundle: Path, name: str) -> None:
        """A bundle with one byte changed gives one line that names the file, with exit code 1."""
        data = bytearray((bundle / name).read_bytes())
        data[len(data) // 2] ^= 1
        (bundle / name).write_bytes(data)
        run = binsight("model", "verify", bundle)
        assert run.code == 1
        assert run.out.startswith(f"{bundle}: {name}: ")
        assert run.out.count("\n") == 1

    def test_json(self, binsight: RunBinsight, bundle: Path) -> None:
        """`--json` prints one object with the faults, none for a sound bundle; the exit code is the same."""
        sound = binsight("model", "verify", bundle, "--json")
        assert (sound.code, json.loads(sound.out)) == (0, {"bundle": str(bundle), "faults": []})
        (bundle / "extra").touch()
        (bundle / "card.md").unlink()
        faulty = binsight("model", "verify", bundle, "--json")
        assert faulty.code == 1
        assert json.loads(faulty.out)["faults"] == [
            {"file": "card.md", "message": "missing or unreadable (No such file or directory)"},
            {"file": "extra", "message": "the manifest does not list it"},
        ]

    def test_other_file_is_a_fault(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """A file that is no bundle fails the check, and its path is said once."""
        (tmp_path / "notes.txt").write_text("hello")
        run = binsight("model", "verify", tmp_path / "notes.txt")
        assert run.code == 1
        assert run.out == f"{tmp_path}/notes.txt: bundle: expected a folder or a zip file (File is not a zip file)\n"

    def test_missing_path_is_wrong_use(self, binsight: RunBinsight) -> None:
        """A path at which nothing is ends with exit code 2 and one line."""
        run = binsight("model", "verify", "nothing.zip")
        assert (run.code, run.out) == (2, "")
        assert run.err.startswith("binsight: no model bundle at 'nothing.zip'")

    def test_name_of_an_unlisted_file_cannot_steer_the_terminal(self, binsight: RunBinsight, bundle: Path) -> None:
        """Control characters in the name of a stray file are shown as escapes."""
        (bundle / "x\x1b[31m\ny").touch()
        run = binsight("model", "verify", bundle)
        assert run.out == f"{bundle}: x\\x1b[31m\\ny: the manifest does not list it\n"


def differences(binsight: RunBinsight, first: Path, second: Path) -> dict[str, tuple[object, object]]:
    """Return what differs between two bundles, key by key, and check the exit code."""
    run = binsight("model", "diff", first, second, "--json")
    found = {entry["key"]: (entry["first"], entry["second"]) for entry in json.loads(run.out)}
    assert run.code == (1 if found else 0)
    return found


class TestDiff:
    @pytest.fixture
    def changed(self, tmp_path: Path) -> RunBinsight:
        """Return what writes a bundle with some values of its manifest changed."""
        return lambda **changes: tiny_bundle(tmp_path / "changed", manifest=tiny_manifest(**changes))

    def test_folder_and_zip_do_not_differ(self, binsight: RunBinsight, bundle: Path, zipped: Path) -> None:
        """The same bundle in two forms has no difference, with exit code 0."""
        run = binsight("model", "diff", bundle, zipped)
        assert (run.code, run.out, run.err) == (0, "no difference\n", "")
        assert differences(binsight, bundle, zipped) == {}

    def test_each_difference_is_listed(self, binsight: RunBinsight, bundle: Path, changed: RunBinsight) -> None:
        """Each value that differs is listed with both values; exit code 1."""
        other = changed(
            version="2.0.0",
            temperature=1.5,
            review=ReviewThresholds((0.0, 0.5, 0.0), disagreement=0.25),
            preprocess=PreprocessSpec((16, 16), mean=(0.0, 0.0, 1.0), scale=(1 / 255,) * 3),
            training={"recipe": "by hand"},
        )
        assert differences(binsight, bundle, other) == {
            "version": ("1.0.0", "2.0.0"),
            "temperature": (1.0, 1.5),
            "review.confidence.green": (0.0, 0.5),
            "review.disagreement": (None, 0.25),
            "preprocess.mean": ([0.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
            "training.seed": (0, None),
        }

    def test_table(self, binsight: RunBinsight, bundle: Path, changed: RunBinsight) -> None:
        """Without `--json` the differences are rows of a table."""
        run = binsight("model", "diff", bundle, changed(version="2.0.0"))
        assert run.code == 1
        assert next(line for line in run.lines() if "version" in line).split() == ["version", "1.0.0", "2.0.0"]

    def test_network_is_compared_by_its_hash(self, binsight: RunBinsight, bundle: Path, tmp_path: Path) -> None:
        """Another network shows as another hash, and as another size where it has one."""
        network = tiny_files()["model.onnx"]
        other = tiny_bundle(tmp_path / "other", network[:-1] + b"\0")
        assert differences(binsight, bundle, other).keys() == {"files.model.onnx.sha256"}
        table = "".join(binsight("model", "diff", bundle, other).out.split())
        for path in (bundle, other):
            assert load_bundle(path).manifest.files["model.onnx"].sha256[:40] in table

    def test_class_more_is_one_difference(self, binsight: RunBinsight, bundle: Path, tmp_path: Path) -> None:
        """A class put in front of the others is a difference of its own, and one of the order; the others stay."""
        classes = tiny_taxonomy(4).classes
        taxonomy = Taxonomy("colours", (classes[3], *classes[:3]))
        found = differences(binsight, bundle, write_bundle(tmp_path / "b", tiny_manifest(taxonomy), tiny_files()))
        assert {key.rsplit(".", 1)[0] for key in found} == {
            *("taxonomy.classes", "taxonomy.classes.more3", "review.confidence")
        }
        assert found["taxonomy.classes.order"] == (
            ["red", "green", "blue"],
            ["more3", "red", "green", "blue"],
        )

    def test_order_of_classes_is_a_difference(self, binsight: RunBinsight, bundle: Path, tmp_path: Path) -> None:
        """The same classes in another order, which is that of the network's outputs, are a difference."""
        taxonomy = Taxonomy("colours", tiny_taxonomy().classes[::-1])
        other = write_bundle(tmp_path / "b", tiny_manifest(taxonomy), tiny_files())
        assert differences(binsight, bundle, other) == {
            "taxonomy.classes.order": (["red", "green", "blue"], ["blue", "green", "red"])
        }

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"runs": [{"id": 1, "loss": 0.1}, {"id": 1, "loss": 0.2}]}, {"runs": [{"id": 1, "loss": 0.2}] * 2}),
            ({"a": {"b": 1}}, {"a.b": 1}),
            ({"a": None}, {}),
            ({"a": {}}, {"a": None}),
            ({"a": []}, {"a": {}}),
            ({"a": [[1, 2], [3]]}, {"a": [[1, 2], [4]]}),
            ({"a": [1, 2]}, {"a": [2, 1]}),
            ({"a": [{"id": "x"}, 1]}, {"a": [{"id": "x"}, 2]}),
        ],
    )
    def test_nothing_is_overlooked(
        self, binsight: RunBinsight, tmp_path: Path, first: dict[str, object], second: dict[str, object]
    ) -> None:
        """Training records that differ anywhere, however they are nested, are different."""
        paths = [
            tiny_bundle(tmp_path / str(i), manifest=tiny_manifest(training=t)) for i, t in enumerate((first, second))
        ]
        assert differences(binsight, *paths)

    def test_faulty_bundle_is_named(self, binsight: RunBinsight, bundle: Path, tmp_path: Path) -> None:
        """When one of the two is no bundle, the line says which."""
        (tmp_path / "empty").mkdir()
        run = binsight("model", "diff", bundle, tmp_path / "empty")
        assert (run.code, run.out) == (2, "")
        assert run.err.startswith(f"binsight: {tmp_path}/empty: bundle.json: missing")


class TestPack:
    def test_folder_into_zip_and_back(self, binsight: RunBinsight, bundle: Path, tmp_path: Path) -> None:
        """A bundle is packed and unpacked; the path of the copy is printed."""
        for source, target in ((bundle, tmp_path / "b.zip"), (tmp_path / "b.zip", tmp_path / "back")):
            run = binsight("model", "pack", source, target)
            assert (run.code, run.out, run.err) == (0, f"{target}\n", "")
            assert verify_bundle(target) == []

    def test_existing_target_needs_overwrite(self, binsight: RunBinsight, bundle: Path, zipped: Path) -> None:
        """An existing bundle is replaced with `--overwrite` only."""
        run = binsight("model", "pack", bundle, zipped)
        assert (run.code, run.out) == (2, "")
        assert run.err == f"binsight: {zipped} exists; overwrite it or choose another name\n"
        assert binsight("model", "pack", bundle, zipped, "--overwrite").code == 0

    def test_what_is_no_bundle_is_never_replaced(self, binsight: RunBinsight, bundle: Path, tmp_path: Path) -> None:
        """A zip of something else is not replaced, even with `--overwrite`."""
        write_raw(tmp_path / "photos.zip", {"a.jpg": b"x"})
        run = binsight("model", "pack", bundle, tmp_path / "photos.zip", "--overwrite")
        assert run.code == 2
        assert run.err == f"binsight: {tmp_path}/photos.zip exists and is not a bundle; choose another name\n"

    def test_with_a_base_only_the_rest_is_stored(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """So the package has `materials`; packed again from the whole, it is the same byte for byte."""
        assert binsight("model", "pack", "materials", tmp_path / "whole.zip").code == 0
        assert binsight("model", "pack", tmp_path / "whole.zip", tmp_path / "small", "--base", "waste8").code == 0
        assert files_of(tmp_path / "small") == files_of(resolve_bundle("materials"))

    def test_a_base_that_is_not_in_the_package_is_refused(
        self, binsight: RunBinsight, bundle: Path, tmp_path: Path
    ) -> None:
        """With the names of those that are."""
        run = binsight("model", "pack", bundle, tmp_path / "small", "--base", "nothing")
        assert run.code == 2
        assert "expected a bundle in the package, materials or waste8" in run.err
        assert not (tmp_path / "small").exists()

    def test_altered_bundle_is_not_packed(self, binsight: RunBinsight, bundle: Path, tmp_path: Path) -> None:
        """A bundle with an altered file is refused by the file's name."""
        (bundle / "card.md").write_bytes(CARD.replace(b"Red", b"Tan"))
        run = binsight("model", "pack", bundle, tmp_path / "b.zip")
        assert run.code == 2
        assert run.err == "binsight: card.md: altered: its content does not match the sha256 in the manifest\n"
        assert not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize("command", ["show", "verify"])
def test_shipped_model_is_the_default(
    binsight: RunBinsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Without a bundle that of the environment, and without that the model in the package is meant."""
    tiny_bundle(tmp_path / "models" / "waste8", manifest=tiny_manifest(name="waste8"))
    monkeypatch.setattr("binsight.bundle.bundle._BUILTIN", tmp_path / "models")
    named = binsight("model", command)  # BINSIGHT_MODEL holds here as everywhere
    assert (named.code, "waste8" in named.out, "tiny" in named.out) == (0, False, True)
    monkeypatch.delenv("BINSIGHT_MODEL")
    run = binsight("model", command)
    assert run.code == 0
    assert "waste8" in run.out
