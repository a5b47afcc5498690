"""Teaching a camera: right there afterwards, old knowledge kept, nonsense refused with what to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from PIL import Image
from tests.adapt.world import COLOURS, PLANT_LIGHT, camera, factory_bundle, shots

from binsight.adapt import adapt
from binsight.bundle import load_bundle, photo_key, read_calibration, read_replay, verify_bundle
from binsight.bundle.replay import MAX_REPLAY_BYTES
from binsight.errors import BundleError, DatasetError, OutputError, TaxonomyError
from binsight.predictor import Predictor
from binsight.taxonomy import WasteClass

KNOWN = {*COLOURS, "not-waste"}

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle before it sees the plant."""
    return factory_bundle(tmp_path_factory.mktemp("factory") / "bundle")


@pytest.fixture(scope="module")
def taught(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle taught two colours under the plant's light."""
    folder = tmp_path_factory.mktemp("plant")
    photos = camera(folder / "photos", {"red": 12, "green": 12})
    adapt(factory, photos, folder / "bundle", workers=1)
    return folder / "bundle"


def share_right(bundle: Path, name: str, *, light: tuple[int, int, int] = PLANT_LIGHT) -> float:
    """How many of fresh photos of a colour a bundle tells."""
    predictor = Predictor.load(bundle, threads=1)
    return float(
        np.mean([p.category == name for p in predictor.predict_images(list(shots(name, 40, light=light, seed=9)))])
    )


def test_it_is_right_on_the_camera_afterwards(factory: Path, taught: Path) -> None:
    """What it told wrongly under this light, on photos that it was not taught, it tells rightly."""
    before = np.mean([share_right(factory, name) for name in ("red", "green")])
    after = np.mean([share_right(taught, name) for name in ("red", "green")])
    assert before < 0.7
    assert after > 0.9


def test_old_knowledge_stays(factory: Path, taught: Path) -> None:
    """In the factory's light it is as right as it was, a class that was not shown included."""
    for name in ("red", "green", "blue"):
        assert share_right(taught, name, light=(0, 0, 0)) >= share_right(factory, name, light=(0, 0, 0)) - 0.05


def test_the_bundle_is_sound_and_says_where_it_comes_from(factory: Path, taught: Path) -> None:
    """Old readers read it: the format is the same; version, provenance, card and photo keys are new."""
    assert verify_bundle(taught) == []
    bundle = load_bundle(taught)
    onnx.checker.check_model(onnx.load_from_string(bundle.read_model()), full_check=True)
    assert bundle.manifest.version == "1.0.0-adapted1"
    (lesson,) = bundle.manifest.training["adapted"]
    assert lesson["from"]["version"] == "1.0.0"
    assert lesson["photos"] == {"red": 12, "green": 12}
    assert set(bundle.manifest.metrics) == {"camera", "known"}
    card = bundle.read("card.md").decode()
    assert "taught one camera" in card
    assert load_bundle(factory).read("card.md").decode() in card
    record = read_calibration(bundle)
    assert record is not None
    replay = read_replay(bundle)
    assert replay is not None
    assert len(replay.camera) <= 24  # the photos as they are: what they look like turned is not remembered
    photo = taught.parent / "photos" / "red" / "000.png"
    assert record.used("trained", np.array([photo_key(photo.read_bytes())], np.uint64)).all()


def test_the_heat_map_is_that_of_the_new_head(taught: Path) -> None:
    """The mean of the evidence over the places is the logits, as it was before."""
    predictor = Predictor.load(taught, threads=1)
    outputs = predictor.run(shots("red", 3, light=PLANT_LIGHT), ["logits", "attention"])
    assert outputs.attention is not None
    np.testing.assert_allclose(outputs.attention.mean(axis=(1, 2)), outputs.logits, atol=1e-4)


def test_figures_are_of_photos_left_out(factory: Path, tmp_path: Path) -> None:
    """With labels that mean nothing it says that it is no better than chance, though it could learn them by heart."""
    photos = camera(tmp_path / "photos", {"red": 20, "blue": 20})
    for i in range(0, 20, 2):
        one, other = photos / "red" / f"{i:03}.png", photos / "blue" / f"{i:03}.png"
        one.rename(photos / "swap.png")
        other.rename(one)
        (photos / "swap.png").rename(other)
    result = adapt(factory, photos, tmp_path / "out", workers=1)
    assert result.accuracy.value < 0.75
    assert result.accuracy.low < 0.5 < result.accuracy.high


def test_empty_places_are_reviewed(factory: Path, tmp_path: Path) -> None:
    """What was shown as not-waste goes to review, what is waste is mostly accepted."""
    photos = camera(tmp_path / "photos", {"red": 15, "green": 15, "not-waste": 15})
    result = adapt(factory, photos, tmp_path / "out", workers=1)
    predictor = Predictor.load(tmp_path / "out", threads=1)
    empty = predictor.predict_images(list(shots("not-waste", 40, light=PLANT_LIGHT, seed=9)))
    assert np.mean([p.decision == "review" for p in empty]) >= 0.9
    assert [c.name for c in result.classes] == ["red", "green", "not-waste"]


def test_before_is_what_the_old_bundle_says(factory: Path, tmp_path: Path) -> None:
    """Told, accepted and reviewed as its own predictions have it, class by class."""
    photos = camera(tmp_path / "photos", {"red": 10, "green": 10, "not-waste": 6})
    result = adapt(factory, photos, tmp_path / "out", version="9.9.9", workers=1)
    old = Predictor.load(factory, threads=1)
    said = {
        c: old.predict_images(list(shots(c, n, light=PLANT_LIGHT, seed=1))) for c, n in (("red", 10), ("green", 10))
    }
    empty = old.predict_images(list(shots("not-waste", 6, light=PLANT_LIGHT, seed=1)))
    right = {name: sum(p.category == name for p in predictions) for name, predictions in said.items()}
    reviewed = sum(p.decision == "review" for p in empty)
    assert {c.name: c.right_before for c in result.classes} == {**right, "not-waste": reviewed}
    accepted = [p.category == name for name, ps in said.items() for p in ps if p.decision == "accept"]
    assert result.accuracy_before.value == pytest.approx(sum(right.values()) / 20)
    assert result.accepted_before.value == pytest.approx(len(accepted) / 20)
    assert result.accepted_right_before.value == pytest.approx(sum(accepted) / (len(accepted) + 6 - reviewed))
    assert load_bundle(tmp_path / "out").manifest.version == "9.9.9"


def test_a_new_class_is_told(factory: Path, tmp_path: Path) -> None:
    """It has an output, an entry in the taxonomy and a heat map."""
    photos = camera(tmp_path / "photos", {"red": 12, "green": 12, "yellow": 12})
    yellow = WasteClass("yellow", "Yellow things", biodegradable=False, stream="landfill")
    result = adapt(factory, photos, tmp_path / "out", new_classes=[yellow], workers=1)
    predictor = Predictor.load(tmp_path / "out", threads=1)
    assert predictor.taxonomy.ids == ("red", "green", "blue", "yellow")
    assert verify_bundle(tmp_path / "out") == []
    assert share_right(tmp_path / "out", "yellow") > 0.8
    assert share_right(tmp_path / "out", "blue", light=(0, 0, 0)) > 0.8
    assert next(c for c in result.classes if c.name == "yellow").is_new


def test_a_taught_bundle_can_be_taught_again(taught: Path, tmp_path: Path) -> None:
    """It keeps the first lesson, in its memory and in what it tells."""
    photos = camera(tmp_path / "photos", {"blue": 10, "red": 10}, seed=3)
    adapt(taught, photos, tmp_path / "again", workers=1)
    bundle = load_bundle(tmp_path / "again")
    assert bundle.manifest.version == "1.0.0-adapted2"
    assert len(bundle.manifest.training["adapted"]) == 2
    replay = read_replay(bundle)
    assert replay is not None
    assert set(replay.camera.labels[: len(replay.camera) // 2].tolist()) == {0, 1}  # the first lesson
    assert bundle.manifest.files["replay.safetensors"].size <= MAX_REPLAY_BYTES
    assert share_right(tmp_path / "again", "green") > 0.8


def test_photos_of_an_earlier_lesson_judge_nothing(taught: Path, tmp_path: Path) -> None:
    """Nor their copies in another format: the heads know them by heart. They are remembered once, as labelled now."""
    photos = camera(tmp_path / "photos", {"red": 12, "green": 12})  # those that it was taught
    Image.open(photos / "red" / "003.png").save(photos / "red" / "copy.bmp")
    (photos / "red" / "005.png").rename(photos / "green" / "moved.png")
    camera(photos, {"blue": 10}, seed=4)
    result = adapt(taught, photos, tmp_path / "out", workers=1)
    found = {c.name: (c.photos, c.again, c.wish) for c in result.classes}
    assert found["red"][:2] == (0, 12)
    assert found["green"] == (0, 13, "green: 13 photos, wants about 15")
    assert found["blue"][:2] == (10, 0)
    first, second = (read_replay(load_bundle(path)) for path in (taught, tmp_path / "out"))
    assert first is not None
    assert second is not None
    before, after = (np.bincount(replay.camera.labels, minlength=3) for replay in (first, second))
    assert after[:2].sum() <= before.sum()  # bursts count as one
    assert after[0] < before[0]  # it was moved
    assert after[2] > 0


def test_the_same_lesson_again_is_refused(taught: Path, tmp_path: Path) -> None:
    """Its figures would be too good."""
    photos = camera(tmp_path / "photos", {"red": 12, "green": 12})
    with pytest.raises(DatasetError, match=r"got 0 beside 24 that it was: .* add new ones"):
        adapt(taught, photos, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_copies_count_once(factory: Path, tmp_path: Path) -> None:
    """Ten copies of a photo are one photo, and are left out together."""
    photos = camera(tmp_path / "photos", {"red": 6, "green": 6})
    for i in range(10):
        shutil.copyfile(photos / "red" / "000.png", photos / "red" / f"copy{i}.png")
    result = adapt(factory, photos, tmp_path / "out", workers=1)
    red = next(c for c in result.classes if c.name == "red")
    assert (red.photos, red.distinct) == (16, 6)
    assert red.wish == "red: 6 photos, wants about 15"


def test_damaged_photos_are_left_out_and_named(factory: Path, tmp_path: Path) -> None:
    """The others are learned from; the reason is kept."""
    photos = camera(tmp_path / "photos", {"red": 6, "green": 6})
    whole = (photos / "red" / "000.png").read_bytes()
    (photos / "red" / "cut.png").write_bytes(whole[: len(whole) // 2])
    result = adapt(factory, photos, tmp_path / "out", workers=1)
    assert list(result.left_out) == ["red/cut.png"]


def test_photos_in_the_wrong_folder_are_suspected(factory: Path, tmp_path: Path) -> None:
    """And a photo that lies in two folders is not used."""
    photos = camera(tmp_path / "photos", {"red": 16, "green": 16})
    (photos / "red" / "003.png").rename(photos / "green" / "really_red.png")
    shutil.copyfile(photos / "red" / "004.png", photos / "green" / "both.png")
    result = adapt(factory, photos, tmp_path / "out", workers=1)
    assert [s.path for s in result.suspects] == ["green/really_red.png"]
    assert set(result.left_out) == {"red/004.png", "green/both.png"}


@pytest.mark.parametrize(
    ("counts", "error", "said"),
    [
        ({"red": 10}, DatasetError, "two classes or more"),
        ({"not-waste": 10}, DatasetError, "none of a class"),
        ({"red": 10, "green": 2}, DatasetError, "at least 3 different photos"),
        ({"red": 5, "gren": 5}, TaxonomyError, "did you mean green"),
        ({"red": 5, "purple": 5}, TaxonomyError, "--new-class"),
    ],
)
def test_nonsense_is_refused(
    factory: Path, tmp_path: Path, counts: dict[str, int], error: type[Exception], said: str
) -> None:
    """With what was expected and what to do; nothing is written."""
    photos = camera(tmp_path / "photos", {name: count for name, count in counts.items() if name in KNOWN})
    for name in set(counts) - KNOWN:
        shutil.copytree(photos / "red", photos / name)
    with pytest.raises(error, match=said):
        adapt(factory, photos, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_copies_only_are_refused(factory: Path, tmp_path: Path) -> None:
    """A class of which there is one shot teaches nothing."""
    photos = camera(tmp_path / "photos", {"red": 5, "green": 1})
    for i in range(8):
        shutil.copyfile(photos / "green" / "000.png", photos / "green" / f"copy{i}.png")
    with pytest.raises(DatasetError, match="green has 9 photos, all of 1 shots"):
        adapt(factory, photos, tmp_path / "out", workers=1)


def test_a_place_that_cannot_be_written_is_refused_before_the_work(factory: Path, tmp_path: Path) -> None:
    """Not after a minute of looking at photos: of these there are none."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        adapt(factory, tmp_path / "nowhere", tmp_path / "file" / "out")


def test_a_bundle_that_is_there_stays(factory: Path, taught: Path, tmp_path: Path) -> None:
    """Unless it is to be overwritten, and even then only if it is one."""
    with pytest.raises(OutputError, match="exists"):
        adapt(factory, tmp_path / "not even looked at", taught, workers=1)
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with pytest.raises(OutputError, match="not a bundle"):
        adapt(factory, taught.parent / "photos", other, overwrite=True, workers=1)
    assert other.read_text() == "mine"


def test_what_cannot_be_taught_says_why(tmp_path: Path) -> None:
    """A bundle without replay, and one whose heads are others."""
    from tests.adapt.world import factory_replay  # noqa: PLC0415
    from tests.tiny_bundle import tiny_bundle  # noqa: PLC0415

    photos = camera(tmp_path / "photos", {"red": 3, "green": 3})
    with pytest.raises(BundleError, match=r"carries no replay\.safetensors"):
        adapt(tiny_bundle(tmp_path / "bare"), photos, tmp_path / "out")
    other = tiny_bundle(tmp_path / "other", replay__safetensors=factory_replay().to_bytes())
    with pytest.raises(BundleError, match="not those that binsight train writes"):
        adapt(other, photos, tmp_path / "out")


def test_other_networks_are_left_behind(tmp_path: Path) -> None:
    """A quantised network has the old heads."""
    source = factory_bundle(tmp_path / "bundle", model__tflite=b"old heads")
    photos = camera(tmp_path / "photos", {"red": 4, "green": 4})
    result = adapt(source, photos, tmp_path / "out", workers=1)
    assert result.dropped == ("model.tflite",)
    assert "model.tflite" not in load_bundle(tmp_path / "out").manifest.files
