"""A checkpoint continues with what it was begun with only."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.training.tiny_run import SETTINGS, SPEC, small_network, write_photos

from binsight.training.fine_tune.loop import describe_run, find_differences


@pytest.fixture(scope="module")
def network():
    """Any."""
    return small_network()


@pytest.fixture
def parts(network, tmp_path):
    """What a run is made of."""
    photos = write_photos(tmp_path / "a", 6)
    return {"network": network, "train": photos, "val": photos, "settings": SETTINGS, "spec": SPEC, "seed": 1}


def differences(parts, **changes):
    """What differs after a change, with one of them having been on disk."""
    before = json.loads(json.dumps(describe_run(**parts)))
    return find_differences(before, describe_run(**parts | changes))


def test_the_same_run_has_no_differences(parts, tmp_path):
    """Also where the photos were moved."""
    assert differences(parts) == []
    assert differences(parts, train=write_photos(tmp_path / "elsewhere" / "a", 6)) == []


def test_changes_are_named_with_both_values(parts):
    """Of settings, nested ones and the seed."""
    changed = replace(SETTINGS, epochs=9, augment=replace(SETTINGS.augment, hue=3))
    assert differences(parts, settings=changed, seed=2) == [
        "seed was 1, now 2",
        "augment.hue was 0.0, now 3",
        "epochs was 4, now 9",
    ]


def test_other_photos_labels_or_networks_are_named(parts):
    """Without their digests."""
    photos = parts["train"]
    assert differences(parts, train=replace(photos, labels=np.zeros(6, int))) == ["training photos"]
    assert differences(parts, val=replace(photos, paths=photos.paths[::-1])) == ["validation photos"]
    assert differences(parts, network=small_network(biodegradable=False)) == ["network"]
