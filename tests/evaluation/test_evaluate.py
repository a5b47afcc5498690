"""The whole evaluation, on photos whose prediction is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score
from tests.evaluation.photos import labelled, save
from tests.tiny_bundle import tiny_bundle, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.errors import DatasetError, SettingsError
from binsight.evaluation import EvaluationSettings, LabelledSet, evaluate_bundle
from binsight.probability import ReviewThresholds

# Twelve photos; two of them are labelled with another colour than theirs.
PHOTOS = [
    *[("red", "red")] * 5, ("red", "blue"),
    *[("green", "green")] * 3, ("green", "red"),
    *[("blue", "blue")] * 2,
]  # fmt: skip
QUICK = EvaluationSettings(resamples=200, timed_photos=2, robustness_photos=4)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """An evaluation with everything, in which strange photos go to review."""
    folder = tmp_path_factory.mktemp("evaluate")
    review = ReviewThresholds((0.5, 0.5, 0.5), unfamiliarity=1.4)
    bundle = tiny_bundle(folder / "tiny", manifest=tiny_manifest(review=review))
    photos = labelled(folder / "photos", PHOTOS, groups=("a",) * 6 + ("b",) * 6)
    photos.paths[11].write_bytes(b"broken")
    unknown = [save(folder / "unknown" / "grey.png", "grey"), save(folder / "unknown" / "red.png", "red")]
    return evaluate_bundle(bundle, photos, unknown=unknown, settings=QUICK)


def test_counts(found):
    """Eleven photos were read, two are wrong, one could not be read."""
    assert found.photos == 11
    assert [(u.path, u.code) for u in found.unreadable] == [("blue/11.png", "not_an_image")]
    assert found.confusion == ((5, 0, 1), (1, 3, 0), (0, 0, 1))
    assert found.values["accuracy"].value == pytest.approx(9 / 11)
    assert found.values["balanced_accuracy"].value == pytest.approx((5 / 6 + 3 / 4 + 1) / 3)


def test_macro_f1_is_the_known_metric(found):
    """The figure of the report is that of scikit-learn."""
    pairs = [(r, c) for r, row in enumerate(found.confusion) for c, n in enumerate(row) for _ in range(n)]
    labels, predicted = np.array(pairs).T
    assert found.values["macro_f1"].value == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_classes_by_hand(found):
    """Red: recall 5/6, precision 5/6, F1 5/6; intervals lie around them."""
    for kind in ("recall", "precision", "f1"):
        value = found.values[f"{kind}.red"]
        assert value.value == pytest.approx(5 / 6)
        assert value.low < 5 / 6 < value.high
    assert found.values["recall.blue"].low < 0.5  # one photo says little


def test_biodegradable_by_both_ways(found):
    """Of the two mistakes only green taken for red crosses the line; the head sees colours and agrees."""
    assert found.values["biodegradable_accuracy"].value == pytest.approx(10 / 11)
    assert found.values["biodegradable_head_accuracy"].value == pytest.approx(10 / 11)
    assert found.biodegradable.better == "neither"
    assert found.biodegradable.test.p_value == 1


def test_streams_and_their_costs(found):
    """Red to landfill costs 1, green (compost) to recycling 2, of 11 items."""
    assert found.streams.names == ("recycling", "compost", "landfill")
    assert found.streams.confusion == ((5, 0, 1), (1, 3, 0), (0, 0, 1))
    assert found.values["stream_cost"].value == pytest.approx(3 / 11)


def test_unknown_photos(found):
    """Grey is unsure of its class and is reviewed, though it looks less strange than pure colours: 0.37 against 1."""
    assert found.unknown.photos == 2
    assert found.values["unknown_reviewed_share"].value == 0.5
    assert found.unknown.reasons == {"low_confidence": 1}
    assert found.values["unknown_auroc"].value == 0.25
    assert found.values["unknown_auroc_confidence"].value == pytest.approx(0.75)
    assert [a.path for a in found.unknown.accepted] == ["red.png"]
    assert sum(found.unknown.known) == pytest.approx(1)


def test_mistakes_come_with_pictures(found):
    """Both mistakes, as confident as each other, with photo and heat map."""
    assert [(m.path, m.label, m.predicted) for m in found.mistakes] == [
        ("red/05.png", "red", "blue"),
        ("green/09.png", "green", "red"),
    ]
    assert found.mistakes[0].top[0] == ("blue", pytest.approx(0.9647, abs=1e-3))
    assert all(m.pictures.heatmap[:3] == b"\xff\xd8\xff" for m in found.mistakes)


def test_groups(found):
    """Group b lost the photo that could not be read."""
    assert [(g.name, g.photos, g.accuracy.value) for g in found.groups] == [
        ("a", 6, pytest.approx(5 / 6)),
        ("b", 5, pytest.approx(4 / 5)),
    ]


def test_robustness_and_speed_are_measured(found):
    """A few photos were degraded and timed, and the means are among the values."""
    assert (found.robustness.photos, found.robustness.of) == (4, 11)
    assert found.values["robust_accuracy"].value == found.robustness.mean_accuracy
    assert found.speed.photos == 2
    assert found.values["model_mb"].value == found.speed.model_bytes / 1e6


def test_json_holds_no_pictures_and_nothing_undefined(found):
    """It can be written and read by any JSON reader."""
    text = json.dumps(found.to_dict(), allow_nan=False)
    data = json.loads(text)
    assert (data["format"], data["taxonomy"]["classes"]) == (1, ["red", "green", "blue"])
    assert data["values"]["accuracy"]["value"] == pytest.approx(9 / 11)
    assert data["values"]["engine_ms"]["low"] is None
    assert data["confusions"][0]["count"] == 1
    assert "pictures" not in text


def test_all_right_is_not_certain(shared_bundle, tmp_path):
    """With no mistake among three photos the interval reaches down to what three photos can tell."""
    photos = labelled(tmp_path, [(c, c) for c in ("red", "green", "blue")])
    found = evaluate_bundle(shared_bundle, photos, robustness=False, settings=QUICK)
    accuracy = found.values["accuracy"]
    assert (accuracy.value, accuracy.high) == (1, pytest.approx(1))
    assert accuracy.low == pytest.approx(0.4385, abs=1e-3)
    assert found.robustness is None
    assert found.unknown is None
    assert found.mistakes == ()


def test_the_same_seed_gives_the_same_figures(shared_bundle, tmp_path):
    """Only the times differ between two runs."""
    photos = labelled(tmp_path, PHOTOS)
    first, second = (
        evaluate_bundle(shared_bundle, photos, settings=QUICK, workers=workers).to_dict() for workers in (1, 2)
    )
    for data in (first, second):
        del data["speed"], data["values"]["decode_ms"], data["values"]["engine_ms"]
    assert first == second


def test_a_model_with_one_head_and_an_open_taxonomy(tmp_path):
    """What the model cannot say is left out; unknown photos are told by the confidence."""
    bundle = tiny_bundle(
        tmp_path / "b", tiny_model(outputs=("logits", "attention")), tiny_manifest(tiny_taxonomy(is_open=True))
    )
    photos = labelled(tmp_path / "photos", PHOTOS)
    grey = [save(tmp_path / "grey.png", "grey")]
    found = evaluate_bundle(bundle, photos, unknown=grey, robustness=False, settings=QUICK)
    assert found.biodegradable is None
    assert not any(name.startswith("biodegradable") for name in found.values)
    assert "unknown_auroc" not in found.values
    assert found.values["unknown_auroc_confidence"].value == 1
    assert found.unknown.measure == "confidence"
    assert found.unknown.edges[0] < found.unknown.edges[-1] <= 1


def test_labels_that_are_no_classes_are_refused(shared_bundle, tmp_path):
    """A label beyond the taxonomy's would be a mistake for ever."""
    path = save(tmp_path / "a.png", "red")
    with pytest.raises(DatasetError, match="expected labels below 3, the classes of 'colours', got 5"):
        evaluate_bundle(shared_bundle, LabelledSet((path,), np.array([5])))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"target_precision": 0.0}, "target_precision"), ({"bins": 0}, "bins"), ({"resamples": 0}, "resamples")],
)
def test_settings_out_of_range_are_refused(settings, expected):
    """By name, before anything is measured."""
    with pytest.raises(SettingsError, match=expected):
        EvaluationSettings(**settings)
