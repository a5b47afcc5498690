"""Photos that the model has seen: told, cross-fitted, refused."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.photos import labelled, save
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.bundle import CalibrationRecord, load_bundle, photo_key
from binsight.errors import DatasetError
from binsight.evaluation import EvaluationSettings, LabelledSet, evaluate, evaluate_bundle
from binsight.evaluation.overlap import find_overlap, judged_requirements, leave_out_seen
from binsight.evaluation.requirements import parse_requirement
from binsight.probability import ReviewThresholds
from binsight.probability.calibration import ReviewTargets, calibrate

QUICK = EvaluationSettings(resamples=50, timed_photos=1)
CLASSES = ("red", "green", "blue")


@pytest.fixture
def photos(tmp_path):
    """Thirty photos, all different: five are labelled wrongly."""
    found = labelled(tmp_path / "photos", [(CLASSES[i % 3], CLASSES[(i + (i < 5)) % 3]) for i in range(30)])
    for i, path in enumerate(found.paths):
        save(path, CLASSES[(i + (i < 5)) % 3], size=(40 + i, 30))
    return found


def _bundle(tmp_path, photos, **seen):
    """The tiny bundle, which accepts what is right among these photos, and has seen some of them."""
    keys = {role: [photo_key(photos.paths[i].read_bytes()) for i in which] for role, which in seen.items()}
    record = CalibrationRecord.of(ReviewTargets(precision=0.5), 0.5, keys)
    manifest = tiny_manifest(review=ReviewThresholds((0.99,) * 3))
    return tiny_bundle(tmp_path / "bundle", manifest=manifest, calibration__json=record.to_bytes())


def test_overlap_is_told_by_content(tmp_path, photos):
    """Whatever the files are called; a file that cannot be read is not seen."""
    bundle = load_bundle(_bundle(tmp_path, photos, trained=[0, 1], calibrated=[2], chosen=[2, 3]))
    photos.paths[3].write_bytes(b"")
    moved = [path.rename(path.with_name(f"x{path.name}")) for path in photos.paths]
    counts = find_overlap(bundle, LabelledSet(tuple(moved), photos.labels)).counts()
    assert (counts.photos, counts.trained, counts.calibrated, counts.chosen) == (30, 2, 1, 1)
    assert "2 of 30 photos were trained on" in counts.describe()


def test_a_bundle_that_does_not_say_has_no_overlap(shared_bundle, photos):
    """Then nothing is known."""
    assert find_overlap(load_bundle(shared_bundle), photos) is None
    with pytest.raises(DatasetError, match="does not record which photos it has seen"):
        leave_out_seen(photos, None)


def test_on_calibration_photos_figures_are_given_cross_fitted_too(tmp_path, photos):
    """The bundle accepts nothing; thresholds fitted on other photos for half of them right accept most."""
    found = evaluate_bundle(_bundle(tmp_path, photos, calibrated=range(30)), photos, robustness=False, settings=QUICK)
    assert found.values["accepted_share"].value == 0
    assert found.values["accepted_share_cross_fitted"].value > 0.5
    assert {"accepted_accuracy_cross_fitted", "brier_score_cross_fitted"} <= set(found.values)
    assert found.overlap.calibrated == 30
    assert found.to_dict()["overlap"] == {"photos": 30, "trained": 0, "calibrated": 30, "chosen": 0}


def test_cross_fitting_fits_on_other_photos(tmp_path, photos, monkeypatch):
    """Five times on four fifths, with their copies told."""
    fitted = []

    def spy(network, labels, targets, *, groups):
        fitted.append((len(network), len(labels), len(groups)))
        return calibrate(network, labels, targets, groups=groups)

    monkeypatch.setattr(evaluate, "calibrate", spy)
    evaluate_bundle(_bundle(tmp_path, photos, calibrated=range(30)), photos, robustness=False, settings=QUICK)
    assert fitted == [(24, 24, 24)] * 5


def test_other_photos_keep_the_bundles_own_thresholds(tmp_path, photos):
    """Of thirty photos ten were calibrated on: at most these can be accepted by other thresholds."""
    found = evaluate_bundle(
        _bundle(tmp_path, photos, calibrated=range(20, 30)), photos, robustness=False, settings=QUICK
    )
    assert 0 < found.values["accepted_share_cross_fitted"].value <= 1 / 3


def test_on_unseen_photos_nothing_is_cross_fitted(tmp_path, photos):
    """There is no reason to."""
    found = evaluate_bundle(_bundle(tmp_path, photos, trained=[]), photos, robustness=False, settings=QUICK)
    assert not [name for name in found.values if name.startswith("accepted") and name.endswith("_cross_fitted")]
    assert found.overlap.describe() == ""


def test_requirements_are_judged_cross_fitted_where_it_matters(tmp_path, photos):
    """The accuracy does not depend on what was fitted, the share accepted does."""
    asked = [parse_requirement(text, CLASSES) for text in ("accuracy=0.8", "accepted_share=0.5", "ece=0.1")]
    overlap = find_overlap(load_bundle(_bundle(tmp_path, photos, calibrated=[0])), photos)
    judged = judged_requirements(asked, overlap)
    assert [r.name for r in judged] == ["accuracy", "accepted_share_cross_fitted", "calibration_error_cross_fitted"]
    assert judged_requirements(asked, None) == asked


def test_requirements_on_training_photos_are_refused(tmp_path, photos):
    """One is enough; without requirements they may be looked at."""
    overlap = find_overlap(load_bundle(_bundle(tmp_path, photos, trained=[7])), photos)
    with pytest.raises(DatasetError, match="1 of 30 were trained on"):
        judged_requirements([parse_requirement("accuracy=0.8", CLASSES)], overlap)
    assert judged_requirements([], overlap) == []


def test_what_was_seen_can_be_left_out(tmp_path, photos):
    """Whatever it was used for; of nothing but such photos, nothing is left."""
    overlap = find_overlap(load_bundle(_bundle(tmp_path, photos, trained=[0], calibrated=[1], chosen=[2])), photos)
    assert leave_out_seen(photos, overlap).paths == photos.paths[3:]
    with pytest.raises(DatasetError, match="got 3 that it has"):
        leave_out_seen(photos.take(range(3)), overlap.take(np.arange(3)))
