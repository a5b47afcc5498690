"""`calibration.json`: what a bundle was calibrated for, and which photos it has seen."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from tests.tiny_bundle import tiny_bundle

from binsight.bundle import CalibrationRecord, load_bundle, photo_key, read_calibration, verify_bundle
from binsight.errors import BundleError
from binsight.probability.calibration import ReviewTargets

TARGETS = ReviewTargets(0.99, 0.01, 0.02, 0.9)
RECORD = CalibrationRecord.of(TARGETS, 0.98, {"trained": [3, 1, 3], "calibrated": [2**64 - 1]})


def _changed(*path, value):
    raw = json.loads(RECORD.to_bytes())
    inner = raw
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return json.dumps(raw).encode()


def test_it_is_written_as_specified():
    """Big-endian keys of 8 bytes, sorted, each once, in base64."""
    raw = json.loads(RECORD.to_bytes())
    assert raw["format"] == 1
    assert raw["targets"] == {
        "precision": 0.99, "disagreement_share": 0.01, "unfamiliar_share": 0.02, "certainty": 0.9,
    }  # fmt: skip
    assert raw["photos"] == {"trained": "AAAAAAAAAAEAAAAAAAAAAw==", "calibrated": "//////////8=", "chosen": ""}


def test_what_is_written_is_read():
    """Targets, precision and keys."""
    found = CalibrationRecord.from_bytes(RECORD.to_bytes())
    assert (found.targets, found.shown_precision) == (TARGETS, 0.98)
    keys = np.array([1, 2, 3, 2**64 - 1], np.uint64)
    assert found.used("trained", keys).tolist() == [True, False, True, False]
    assert found.used("calibrated", keys).tolist() == [False, False, False, True]
    assert not found.used("chosen", keys).any()


def test_key_is_the_beginning_of_the_files_digest():
    """The same from the bytes as from the digest."""
    digest = hashlib.sha256(b"a photo").hexdigest()
    assert photo_key(b"a photo") == photo_key(digest) == int(digest[:16], 16)


def test_a_bundle_without_it_is_sound(tmp_path):
    """As those from before there was such a file."""
    path = tiny_bundle(tmp_path / "old")
    assert read_calibration(load_bundle(path)) is None
    assert verify_bundle(path) == []


def test_a_bundle_with_it_is_sound(tmp_path):
    """It is found again."""
    path = tiny_bundle(tmp_path / "new", calibration__json=RECORD.to_bytes())
    assert read_calibration(load_bundle(path)).targets == TARGETS
    assert verify_bundle(path) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "expected an object"),
        (_changed("format", value=2), "expected format 1, got 2"),
        (_changed("more", value=0), "unknown key more"),
        (_changed("targets", "precision", value="high"), "targets.precision: expected a number in"),
        (_changed("targets", "certainty", value=True), "targets.certainty: expected a number in"),
        (_changed("targets", "more", value=1), "unknown key more"),
        (_changed("shown_precision", value=1.5), "shown_precision: expected a number in"),
        (_changed("photos", value={}), "missing trained"),
        (_changed("photos", "chosen", value=5), "photos.chosen: expected keys"),
        (_changed("photos", "chosen", value="AAAA"), "photos.chosen: expected keys"),
        (_changed("photos", "chosen", value="no base64"), "photos.chosen: expected keys"),
        (_changed("photos", "chosen", value="ä"), "photos.chosen: expected keys"),
    ],
)
def test_a_malformed_one_is_refused(tmp_path, data, message):
    """With the name of the file, also when the bundle is verified."""
    with pytest.raises(BundleError, match=message):
        CalibrationRecord.from_bytes(data)
    (fault,) = verify_bundle(tiny_bundle(tmp_path / "b", calibration__json=data))
    assert fault.file == "calibration.json"
