"""From a name or path to a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.bundle.corrupt import files_of, seal, write_raw
from tests.tiny_bundle import CARD, tiny_bundle, tiny_files, tiny_manifest

from binsight.bundle import builtin_bundles, load_bundle, resolve_bundle
from binsight.errors import BinsightError, BundleError, InputError

if TYPE_CHECKING:
    from pathlib import Path


class TestLoad:
    def test_folder_and_zip_give_the_same_manifest(self, bundle: Path, zipped: Path) -> None:
        """A bundle says the same of itself as a folder and as a zip."""
        folder, archive = load_bundle(bundle), load_bundle(zipped)
        assert folder.manifest == archive.manifest
        assert folder.label == archive.label == "tiny 1.0.0"

    def test_files_come_out_as_they_went_in(self, bundle: Path) -> None:
        """Every listed file can be read, and the network is known to be self-contained."""
        found = load_bundle(bundle)
        assert found.read("card.md") == CARD
        assert found.read_model() == tiny_files()["model.onnx"]

    def test_path_may_be_text(self, bundle: Path) -> None:
        """A path given as text is as good as a `Path`."""
        assert load_bundle(str(bundle)).path == bundle

    @pytest.mark.parametrize("form", ["folder", "it.zip"])
    def test_no_manifest_is_reported_with_the_path(self, tmp_path: Path, form: str) -> None:
        """A folder or zip without a manifest is refused, and the message says which path was looked at."""
        path = write_raw(tmp_path / form, {"photo.jpg": b"x"})
        with pytest.raises(BundleError, match=rf"{form}: bundle\.json: missing") as caught:
            load_bundle(path)
        assert caught.value.file == "bundle.json"

    def test_empty_manifest_is_refused(self, bundle: Path) -> None:
        """A manifest of zero bytes is refused as such."""
        (bundle / "bundle.json").write_bytes(b"")
        with pytest.raises(BundleError, match=r"bundle.json: not valid JSON"):
            load_bundle(bundle)

    def test_manifest_without_network_is_refused(self, tmp_path: Path) -> None:
        """A manifest that lists no files at all is not that of a bundle."""
        path = write_raw(tmp_path / "b", {"bundle.json": seal(tiny_manifest().to_dict())})
        with pytest.raises(BundleError, match=r"bundle.json: files: expected model.onnx"):
            load_bundle(path)

    @pytest.mark.parametrize(
        ("data", "fault"),
        [
            (CARD + b"x", r"card\.md: expected 59 bytes, got 60"),
            (CARD[:-1], r"card\.md: expected 59 bytes, got 58"),
            (b"", r"card\.md: expected 59 bytes, got 0"),
            (CARD.replace(b"Red", b"Tan"), "card.md: altered: its content does not match the sha256"),
        ],
    )
    def test_altered_file_is_refused_when_it_is_read(self, bundle: Path, data: bytes, fault: str) -> None:
        """A file of another size or content than its entry is refused by its name."""
        (bundle / "card.md").write_bytes(data)
        with pytest.raises(BundleError, match=fault):
            load_bundle(bundle).read("card.md")

    def test_error_is_one_of_binsight_and_of_python(self, tmp_path: Path) -> None:
        """A missing bundle is a `BinsightError` and an `OSError`; a malformed one a `ValueError`."""
        with pytest.raises(InputError) as missing:
            load_bundle(tmp_path / "nothing")
        (tmp_path / "empty").mkdir()
        with pytest.raises(BundleError) as malformed:
            load_bundle(tmp_path / "empty")
        assert isinstance(missing.value, OSError)
        assert isinstance(malformed.value, ValueError)
        assert all(isinstance(caught.value, BinsightError) for caught in (missing, malformed))


class TestResolve:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Let the package hold the bundles "tiny" and "other" and a stray folder, and work in an empty folder."""
        models = tmp_path / "models"
        tiny_bundle(models / "tiny")
        tiny_bundle(models / "other")
        (models / "__pycache__").mkdir()
        monkeypatch.setattr("binsight.bundle.bundle._BUILTIN", models)
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        return models

    def test_bundles_of_the_package_are_listed(self, package: Path) -> None:
        """Every bundle in the package is listed by name, sorted; other folders are not."""
        assert builtin_bundles() == ["other", "tiny"]

    def test_package_without_models_has_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A package from which the models were removed lists none, and says so."""
        monkeypatch.setattr("binsight.bundle.bundle._BUILTIN", tmp_path / "nothing")
        assert builtin_bundles() == []
        with pytest.raises(InputError, match="in the package, which has none"):
            resolve_bundle("tiny")

    def test_name_is_found_in_the_package(self, package: Path) -> None:
        """A name without a path of that name is that of a bundle in the package."""
        assert resolve_bundle("tiny") == package / "tiny"

    def test_path_is_itself(self, package: Path, bundle: Path) -> None:
        """A path that exists is taken as it is, whatever is there."""
        assert resolve_bundle(bundle) == bundle
        assert resolve_bundle(str(bundle / "card.md")) == bundle / "card.md"

    def test_bundle_in_the_working_folder_goes_first(self, package: Path, tmp_path: Path) -> None:
        """A bundle of that name in the working folder is meant rather than the package's."""
        tiny_bundle(tmp_path / "work" / "tiny")
        assert load_bundle(resolve_bundle("tiny")).path.resolve() == tmp_path / "work" / "tiny"

    def test_data_set_of_the_same_name_does_not_hide_it(self, package: Path, tmp_path: Path) -> None:
        """A folder of photos named like the model trained on them does not stand in its way."""
        (tmp_path / "work" / "tiny" / "train").mkdir(parents=True)
        assert resolve_bundle("tiny") == package / "tiny"

    @pytest.mark.parametrize("name", ["tinny", "", "a" * 300, "../models/nothing"])
    def test_unknown_name_lists_those_there_are(self, package: Path, name: str) -> None:
        """A name that is neither a path nor in the package is refused, and the names there are are listed."""
        with pytest.raises(InputError, match=r"no model bundle at .* in the package, which has other, tiny"):
            resolve_bundle(name)


def test_fixture_files_are_those_of_the_format(bundle: Path) -> None:
    """A bundle is a manifest, a network and a card."""
    assert list(files_of(bundle)) == ["bundle.json", "card.md", "model.onnx"]
