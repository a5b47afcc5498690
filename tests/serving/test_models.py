"""Loading, swapping and rolling back models."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from tests.tiny_bundle import tiny_bundle, tiny_files, tiny_manifest, tiny_model

from binsight.bundle import pack_bundle, write_bundle
from binsight.errors import BinsightError, BundleError, InputError
from binsight.serving.models import (
    LoadedModel,
    ModelStore,
    NoRollbackError,
    ReloadBusyError,
    RolledBackError,
    UnknownModelError,
)


def replace(path: Path, version: str) -> None:
    """Put a sound bundle of another version in the place of the one at `path`."""
    write_bundle(path, tiny_manifest(version=version), tiny_files(), overwrite=True)


@pytest.fixture
def store(bundle: Path) -> ModelStore:
    """Return a store with the tiny bundle, loaded."""
    store = ModelStore([str(bundle)], threads=2)
    store.load_all()
    return store


def test_the_first_model_is_the_default_and_each_has_a_name(bundle, zipped):
    """A name before `=` goes before the bundle's own."""
    store = ModelStore([f"first={bundle}", str(zipped)], threads=1)
    store.load_all()
    assert store.names == ["first", "tiny"]
    assert store.get() is store.get("first")
    assert store.get("tiny").bundle.path == zipped


def test_an_unknown_name_is_an_error_that_lists_the_known(store):
    """Also while nothing is loaded yet."""
    with pytest.raises(UnknownModelError, match="tiny"):
        store.get("other")
    with pytest.raises(UnknownModelError, match="none yet"):
        ModelStore(["x"], threads=1).get()


def test_two_models_of_one_name_are_refused(bundle, zipped):
    """Which one would answer?"""
    with pytest.raises(BundleError, match="two models"):
        ModelStore([str(bundle), str(zipped)], threads=1).load_all()


def test_the_narrow_and_the_wide_engine_agree(store):
    """Which one runs is a matter of speed only."""
    model = store.get()
    inputs = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    np.testing.assert_allclose(model.narrow.run(inputs).logits, model.wide.run(inputs).logits, atol=1e-4)
    assert model.outputs == ("logits", "biodegradable_logit", "attention", "features", "unfamiliarity")


def test_a_new_version_is_put_in_place_and_can_be_rolled_back(store, bundle):
    """A second rollback undoes the first."""
    replace(bundle, "2.0.0")
    assert store.reload("tiny") == "loaded"
    assert store.get().version == "2.0.0"
    assert [store.rollback("tiny"), store.get().version] == ["rolled_back", "1.0.0"]
    assert [store.rollback("tiny"), store.get().version] == ["rolled_back", "2.0.0"]


def test_a_rollback_sticks_until_there_is_another_bundle(store, bundle):
    """The same files are not loaded again, wherever they are copied from; others are, and may be rolled back too."""
    for version in ("2.0.0", "3.0.0"):
        replace(bundle, version)
        store.reload("tiny")
        store.rollback("tiny")
    for version in ("2.0.0", "3.0.0"):
        replace(bundle, version)
        with pytest.raises(RolledBackError, match=rf"{version} was rolled back and version 1\.0\.0 stays"):
            store.reload("tiny")
    assert store.get().version == "1.0.0"


def test_a_rolled_back_bundle_is_loaded_by_force_and_then_counts_as_any(store, bundle):
    """Likewise after a second rollback, which is as explicit."""
    replace(bundle, "2.0.0")
    store.reload("tiny")
    store.rollback("tiny")
    assert (store.reload("tiny", force=True), store.reload("tiny")) == ("loaded", "unchanged")
    store.rollback("tiny")
    assert (store.rollback("tiny"), store.reload("tiny")) == ("rolled_back", "unchanged")


def test_the_same_bundle_is_not_loaded_again(store):
    """And there is nothing to roll back to."""
    before = store.get()
    assert store.reload("tiny") == "unchanged"
    assert store.get() is before
    with pytest.raises(NoRollbackError):
        store.rollback("tiny")


def cut_short(path: Path) -> None:
    """Take the last byte off the network."""
    data = (path / "model.onnx").read_bytes()
    (path / "model.onnx").write_bytes(data[:-1])


def flip_a_bit(path: Path) -> None:
    """Change one bit of the model card."""
    data = bytearray((path / "card.md").read_bytes())
    data[3] ^= 1
    (path / "card.md").write_bytes(data)


def remove(path: Path) -> None:
    """Delete the bundle."""
    shutil.rmtree(path)


def give_nan(path: Path) -> None:
    """Put a sound bundle in its place whose network gives no numbers."""
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "head":
            tensor.CopyFrom(numpy_helper.from_array(np.full((3, 3), np.nan, np.float32), "head"))
    write_bundle(path, tiny_manifest(version="2.0.0"), tiny_files(model), overwrite=True)


def never_run(path: Path) -> None:
    """A network that loads, and fails when it runs: it takes the batch for 16 numbers."""
    model = tiny_model()
    constant = numpy_helper.from_array(np.array([7], np.int64), "seven")
    model.graph.initializer.append(constant)
    for node in model.graph.node:
        if node.output[0] == "logits":
            node.output[0] = "logits_before"
    model.graph.node.append(helper.make_node("Concat", ["seven", "minus_one"], ["wrong"], axis=0))
    model.graph.initializer.append(numpy_helper.from_array(np.array([3], np.int64), "minus_one"))
    model.graph.node.append(helper.make_node("Reshape", ["logits_before", "wrong"], ["logits"]))
    onnx.checker.check_model(model)
    write_bundle(path, tiny_manifest(version="2.0.0"), tiny_files(model), overwrite=True)


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, remove, give_nan, never_run])
def test_a_broken_bundle_never_replaces_a_good_one(store, bundle, damage):
    """Missing, altered, cut short, of numbers that are none, or unable to run: the old one stays and works."""
    before = store.get()
    replace(bundle, "2.0.0")
    damage(bundle)
    with pytest.raises(BinsightError):
        store.reload("tiny")
    assert store.get() is before
    assert store.previous_version("tiny") is None
    assert before.narrow.predict_images([np.full((4, 4, 3), (255, 0, 0), np.uint8)])[0].category == "red"


def test_only_one_change_happens_at_a_time(store, bundle, monkeypatch):
    """The second is told at once, and can try again."""
    replace(bundle, "2.0.0")
    load = LoadedModel.load

    def meanwhile(*args, **kwargs):
        with pytest.raises(ReloadBusyError):
            store.reload("tiny")
        with pytest.raises(ReloadBusyError):
            store.rollback("tiny")
        return load(*args, **kwargs)

    monkeypatch.setattr(LoadedModel, "load", meanwhile)
    assert store.reload("tiny") == "loaded"


def test_a_missing_bundle_at_the_start_is_an_error(tmp_path):
    """There is no server without a model."""
    with pytest.raises(InputError):
        ModelStore([str(tmp_path / "none")], threads=1).load_all()


def test_changes_are_reported(bundle):
    """Name, version, digest and what happened, once it is in place."""
    first = hashlib.sha256(pack_bundle(bundle, bundle.with_name("first.zip")).read_bytes()).hexdigest()
    seen = []
    store = ModelStore([str(bundle)], threads=1, on_change=lambda *change: seen.append(change))
    store.load_all()
    replace(bundle, "2.0.0")
    store.reload("tiny")
    store.rollback("tiny")
    second = seen[1][2]
    assert seen == [
        ("tiny", "1.0.0", first, "loaded"),
        ("tiny", "2.0.0", second, "loaded"),
        ("tiny", "1.0.0", first, "rolled_back"),
    ]
    assert second != first


def test_a_bundle_may_be_a_zip(tmp_path):
    """It is read again just the same."""
    path = tiny_bundle(tmp_path / "a.zip")
    store = ModelStore([str(path)], threads=1)
    store.load_all()
    replace(path, "2.0.0")
    assert store.reload("tiny") == "loaded"
