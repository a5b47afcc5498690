"""`replay.safetensors`: round trip, size, and a test for each way it can be malformed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.tiny_bundle import tiny_bundle

from binsight.bundle import CameraPhotos, load_bundle, make_replay, read_replay, verify_bundle
from binsight.bundle.replay import MAX_REPLAY_BYTES, Replay
from binsight.errors import BundleError

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(40, 24)).astype(np.float32)
HEADS = RNG.normal(size=(24, 3))


def example() -> Replay:
    """Forty photos of three classes, a quarter held back."""
    return make_replay(FEATURES, np.arange(40) % 3, np.arange(40) % 4 == 0, heads=HEADS)


def rewritten(change: dict[str, object] | None = None, *, cut: int = 0) -> bytes:
    """The example with another header, or cut short."""
    data = example().to_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size]) | (change or {})
    text = json.dumps({name: entry for name, entry in header.items() if entry is not None}).encode()
    body = data[8 + size :]
    return len(text).to_bytes(8, "little") + text + body[: len(body) - cut]


def test_round_trip() -> None:
    """Labels exactly, features to what 8 bits hold; what the heads see of them too."""
    replay = Replay.from_bytes(example().to_bytes())
    np.testing.assert_array_equal(replay.labels, np.arange(40) % 3)
    np.testing.assert_array_equal(replay.held, np.arange(40) % 4 == 0)
    features = replay.mean + replay.codes @ replay.basis.T
    np.testing.assert_allclose(features @ HEADS, FEATURES @ HEADS, atol=0.3)
    assert len(replay.camera) == 0


def test_cameras_are_kept_as_far_as_there_is_room() -> None:
    """All of a few; of too many as many as go into 3 MB, from first to last."""
    few = CameraPhotos(FEATURES[:5], np.array([0, 1, 2, -1, 0]))
    read = Replay.from_bytes(Replay(**vars(example()) | {"camera": few}).to_bytes()).camera
    np.testing.assert_array_equal(read.labels, few.labels)
    np.testing.assert_allclose(read.features, few.features, atol=0.02)
    many = CameraPhotos(np.ones((200_000, 24), np.float32), np.repeat([0, 1], 100_000))
    data = Replay(**vars(example()) | {"camera": many}).to_bytes()
    assert len(data) <= MAX_REPLAY_BYTES
    assert set(Replay.from_bytes(data).camera.labels.tolist()) == {0, 1}


def test_many_photos_are_thinned_out() -> None:
    """All that may calibrate are kept, of the others each class in its share."""
    labels = np.repeat([0, 1], [8000, 2000])
    replay = make_replay(np.ones((10_000, 4), np.float32), labels, np.arange(10_000) % 5 == 0, heads=np.ones((4, 2)))
    assert len(replay.labels) == 7000
    assert replay.held.sum() == 2000
    assert (replay.labels == 1).mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a safetensors file"),
        (b"\xff" * 64, "not a safetensors file"),
        (rewritten(cut=3), "cut short"),
        (rewritten({"codes": None}), "does not fit"),
        (rewritten({"extra": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}), "unknown tensor"),
        (rewritten({"mean": {"dtype": "F64", "shape": [24], "data_offsets": [0, 96]}}), "expected dtype"),
        (rewritten({"mean": {"dtype": "F32", "shape": [-24], "data_offsets": [0, 96]}}), "does not fit"),
        (rewritten({"mean": {"dtype": "F32", "shape": [12, 2], "data_offsets": [0, 96]}}), "mean: expected"),
        (example().to_bytes() + b"more", "follows the last tensor"),
        (Replay(**vars(example()) | {"held": np.ones(40, bool)}).to_bytes(), "held: expected photos"),
    ],
)
def test_what_is_malformed_is_refused(data: bytes, said: str) -> None:
    """With the file and what is wrong with it."""
    with pytest.raises(BundleError, match=said) as caught:
        Replay.from_bytes(data)
    assert caught.value.file == "replay.safetensors"


def test_labels_are_of_the_bundle(tmp_path) -> None:
    """A replay of more classes than the taxonomy has is refused, and `verify` says so."""
    beyond = make_replay(FEATURES, np.full(40, 7), np.arange(40) % 4 == 0, heads=HEADS)
    bundle = tiny_bundle(tmp_path / "bundle", replay__safetensors=beyond.to_bytes())
    with pytest.raises(BundleError, match="labels of 3 classes"):
        read_replay(load_bundle(bundle))
    assert [fault.file for fault in verify_bundle(bundle)] == ["replay.safetensors"]
    assert read_replay(load_bundle(tiny_bundle(tmp_path / "bare"))) is None
