"""From photos to a bundle that predicts."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from tests.pipeline.tiny import COLOURS, FAST, SIZE, CollectingReporter, make_photos

from binsight.adapt import adapt
from binsight.bundle import load_bundle, photo_key, read_calibration, read_replay, verify_bundle
from binsight.dataset import scan
from binsight.errors import InputError, LeakageError, OutputError, WeightsError
from binsight.pipeline import assemble, frozen
from binsight.pipeline import train as train_module
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.train import places_beside, train
from binsight.predictor import Predictor
from binsight.taxonomy import Taxonomy
from binsight.training.features import FeatureExtractor


@pytest.fixture
def run(tiny, photos, tmp_path, reporter):
    """Trains on the tiny photos, with the tiny backbone."""

    def go(*, out="mine", taxonomy=COLOURS, root=photos, tell=reporter, flags=None, **options):
        config = resolve_config(flags={**FAST, **(flags or {})})
        return train(
            scan(root, taxonomy=taxonomy), config, places_beside(tmp_path / out), workers=2, reporter=tell, **options
        )

    return go


def test_the_bundle_is_sound_and_knows_its_colours(trained, photos):
    """It predicts what it was trained for, with both heads."""
    result = trained.result
    assert verify_bundle(result.bundle) == []
    predictor = Predictor.load(result.bundle, threads=1)
    for name in ("red", "green", "blue"):
        prediction = predictor.predict_file(photos / name / "0.png")
        assert prediction.category == name
        assert (prediction.biodegradable_probability > 0.5) == (name == "green")
    assert result.manifest.metrics["val"].values["accuracy"].value > 0.8
    assert set(result.manifest.metrics) == {"val", "test"}


def test_the_manifest_says_how_it_was_made(trained):
    """The resolved configuration, the data, the choices and the versions."""
    training = trained.result.manifest.training
    assert training["config"] == resolve_config(flags=FAST).to_dict()
    assert training["config"]["backbone"]["size"] == SIZE
    assert training["recipe"] == "binsight train --preset fast"
    assert training["selection"]["inverse_penalty"] in (0.01, 0.1)
    assert training["photos"] == {"train": 36, "val": 15, "test": 9}
    assert len(training["data_sha256"]) == 64
    assert training["leakage"] == 0
    assert "chosen_on_val" not in training
    assert training["versions"]["binsight"]


def test_the_bundle_records_the_photos_it_has_seen(trained, photos):
    """Those of train and val, and none of test; what it was calibrated for too."""
    bundle = load_bundle(trained.result.bundle)
    record = read_calibration(bundle)
    counts = bundle.manifest.training["photos"]
    assert [len(record.photos[role]) for role in ("trained", "calibrated", "chosen")] == [
        counts["train"], counts["val"], 0,
    ]  # fmt: skip
    keys = np.array([photo_key(path.read_bytes()) for path in photos.rglob("*.png")], np.uint64)
    assert (~record.used("trained", keys) & ~record.used("calibrated", keys)).sum() == counts["test"] > 0
    assert record.targets == resolve_config(flags=FAST).review.targets()


def test_the_bundle_can_be_taught(trained, photos, tmp_path):
    """It carries reduced features of its photos, of `val` marked as held, and teaching it works."""
    replay = read_replay(load_bundle(trained.result.bundle))
    assert (len(replay.labels), int(replay.held.sum())) == (36 + 15, 15)
    assert isinstance(trained.result.manifest.training["unfamiliarity_median"], float)
    result = adapt(trained.result.bundle, photos, tmp_path / "taught", workers=2)
    assert result.known.value >= result.known_before.value - 0.05
    assert verify_bundle(tmp_path / "taught") == []


def test_val_is_stated_as_it_is_and_cross_fitted(trained):
    """`test` is not: nothing was fitted there."""
    metrics = trained.result.manifest.metrics
    assert "accepted_share_cross_fitted" in metrics["val"].values
    assert not [name for name in metrics["test"].values if name.endswith("_cross_fitted")]


def test_copies_are_known_to_calibration_and_measures(run, monkeypatch):
    """The groups of the split reach both."""
    told = []
    for name in ("calibrate", "measure"):
        inner = getattr(assemble, name)

        def spy(scores, *args, inner=inner, **options):
            told.append(len(scores) == len(options["groups"]))
            return inner(scores, *args, **options)

        monkeypatch.setattr(assemble, name, spy)
    run()
    assert told == [True] * 3  # fitted on val; measured on val and test


def test_what_so_few_photos_cannot_show_is_said(trained):
    """99.3 % takes 427 accepted photos; the card and the one who trains are told what was shown."""
    record = read_calibration(load_bundle(trained.result.bundle))
    assert 0 < record.shown_precision < 0.993
    (told,) = [line for line in trained.reporter.lines if "99.3% of what is accepted is right" in line]
    assert f"what is shown is {record.shown_precision:.1%}" in told
    assert f"{record.shown_precision:.1%} could be shown" in load_bundle(trained.result.bundle).read("card.md").decode()


def test_the_same_command_gives_the_same_network(run, trained):
    """Byte for byte."""
    first, second = load_bundle(trained.result.bundle), load_bundle(run().bundle)
    assert first.read("model.onnx") == second.read("model.onnx")
    assert first.manifest.metrics == second.manifest.metrics


def test_the_written_network_says_what_was_measured(trained, photos):
    """Read back as a user reads it, val has the accuracy of the manifest."""
    result = trained.result
    predictor = Predictor.load(result.bundle, threads=1)
    found = scan(photos, taxonomy=COLOURS)
    kept = json.loads((result.bundle.with_name("mine.work") / "data.json").read_text())
    val = [found.root / path for path, split, _ in kept["value"]["rows"] if split == "val"]
    right = [predictor.predict_file(path).category == path.parent.name for path in val]
    assert np.mean(right) == result.manifest.metrics["val"].values["accuracy"].value


def test_without_taxonomy_one_is_written(run, reporter):
    """Biodegradable is left open, the network has no second head, and it says so."""
    result = run(taxonomy=None)
    assert Taxonomy.from_toml(result.taxonomy.read_text()) == result.manifest.taxonomy
    assert result.manifest.biodegradable_temperature is None
    assert any("biodegradable left open" in line for line in reporter.lines)
    names = [metric for metric in result.manifest.metrics["val"].values if metric.startswith("biodegradable")]
    assert names == []


def test_a_taxonomy_that_was_filled_in_is_left_alone(run, tmp_path, reporter):
    """Trained again without it: hours of filling in are not written over."""
    (tmp_path / "mine.taxonomy.toml").write_text("# mine")
    assert run(taxonomy=None).taxonomy is None
    assert (tmp_path / "mine.taxonomy.toml").read_text() == "# mine"
    assert any("left alone; to use it, train with --taxonomy" in line for line in reporter.lines)


def test_a_zip_a_report_and_unknown_photos(run, tmp_path):
    """All lie beside the zip; the unknown photos are a split of their own in the manifest."""
    make_photos(tmp_path / "strange", each=3, start=50)
    places = f"{tmp_path / 'strange'},odd={tmp_path / 'strange' / 'red'}"
    result = run(out="mine.zip", flags={"report": "yes", "unknown": places})
    assert result.bundle.is_file()
    assert verify_bundle(result.bundle) == []
    assert (tmp_path / "mine.work").is_dir()
    assert result.report == tmp_path / "mine.report.html"
    assert "<html" in result.report.read_text()[:500]
    assert result.manifest.metrics["unknown"].photos == 9
    assert result.manifest.metrics["odd"].photos == 3


def test_a_bundle_is_not_replaced_unasked(run, trained, tmp_path):
    """Before any work is done; with overwrite it is."""
    shutil.copytree(trained.result.bundle, tmp_path / "mine")
    with pytest.raises(OutputError, match="exists; overwrite it or choose another name"):
        run()
    assert not (tmp_path / "mine.work").exists()
    before = (tmp_path / "mine" / "bundle.json").read_bytes()
    assert run(overwrite=True, taxonomy=None).manifest.to_bytes() != before


def test_a_backbone_that_does_not_exist_is_named_at_once(run, tmp_path):
    """Before a work folder is made."""
    with pytest.raises(WeightsError, match="did you mean"):
        run(flags={"backbone": "efficientnet_lite9"})
    assert not (tmp_path / "mine.work").exists()


def test_a_run_that_failed_does_not_block_the_corrected_one(run, tmp_path):
    """Copies on both sides of the split stop it; once that is accepted, the same command trains."""
    root = make_photos(tmp_path / "given", each=8, split="train")
    make_photos(root, each=6, split="val", start=20)
    for name in ("red", "green", "blue"):
        shutil.copy(root / "train" / name / "0.png", root / "val" / name / "copy.png")
    with pytest.raises(LeakageError):
        run(root=root)
    assert run(root=root, flags={"allow-leakage": "yes"}).bundle.is_dir()


def test_an_interrupted_run_goes_on(run, trained, monkeypatch):
    """Killed between tuning and fitting: the second run looks at no photo of train again, and gives the same."""
    whole = load_bundle(trained.result.bundle)
    with monkeypatch.context() as patch:
        patch.setattr(frozen, "fit_heads", lambda *_args, **_options: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run()
    seen, again = [], CollectingReporter()
    compute = FeatureExtractor._run
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractor, "_run", lambda self, *a: (seen.append(a[0]), compute(self, *a))[1])
        patch.setattr(frozen, "choose_penalty", lambda *_args, **_options: pytest.fail("chosen again"))
        resumed = load_bundle(run(resume=True, tell=again).bundle)
    assert "Reading photos" not in again.stages
    assert len(seen) == 24  # those of val and test, which the first run did not come to
    assert resumed.read("model.onnx") == whole.read("model.onnx")


def test_what_judges_besides_is_measured(run, photos, tmp_path, reporter, monkeypatch):
    """Noise, other people's photos without twins of those trained on, and no test while settings are chosen."""
    monkeypatch.setattr(train_module, "_TWIN_COSINE", 0.99999)  # of three features, all colours, most are near
    make_photos(tmp_path / "others", each=4, start=500)
    shutil.copy(photos / "red" / "0.png", tmp_path / "others" / "red" / "twin.png")
    flags = {"elsewhere": str(tmp_path / "others"), "evaluate-noise": "yes", "evaluate-test": "no",
             "evaluate-chosen-on-val": "yes"}  # fmt: skip
    result = run(flags=flags)
    assert set(result.manifest.metrics) == {"val", "elsewhere", "noise"}
    assert result.manifest.metrics["noise"].photos == 50
    assert 1 <= result.manifest.metrics["elsewhere"].photos <= 12
    assert any(line.startswith("elsewhere: ") and " of 13 photos" in line for line in reporter.lines)
    assert result.manifest.training["chosen_on_val"] == "Every setting"
    record = read_calibration(load_bundle(result.bundle))
    np.testing.assert_array_equal(record.photos["chosen"], record.photos["calibrated"])


def test_a_file_for_the_card_that_is_not_there_shows_at_once(run, tmp_path):
    """Before the work, and it is in the card where it is there."""
    with pytest.raises(InputError, match=r"none\.md"):
        run(flags={"bundle-about": str(tmp_path / "none.md")})
    (tmp_path / "about.md").write_text("**Meant for** sorting $5 confetti.\n")
    card = (run(flags={"bundle-about": str(tmp_path / "about.md")}).bundle / "card.md").read_text()
    assert "**Meant for** sorting $5 confetti." in card


def test_an_interruption_after_the_bundle_is_no_trouble(run, trained, tmp_path):
    """The report is still missing; the bundle of this very run may be replaced."""
    for name in ("mine", "mine.work"):
        shutil.copytree(trained.folder / name, tmp_path / name)
    assert run(flags={"report": "yes"}, resume=True).report.is_file()


def test_a_damaged_work_folder_costs_time_only(run, trained, tmp_path):
    """What cannot be read is done again."""
    shutil.copytree(trained.folder / "mine.work", tmp_path / "mine.work")
    for path in [*(tmp_path / "mine.work").glob("heads-*.npz"), tmp_path / "mine.work" / "data.json"]:
        path.write_bytes(path.read_bytes()[:20])
    whole = load_bundle(trained.result.bundle).read("model.onnx")
    assert load_bundle(run(resume=True).bundle).read("model.onnx") == whole


def test_an_inner_head_is_tuned_and_trained(run, photos):
    """The study's best settings, an inner layer in the network, and it still predicts."""
    flags = {"head": "inner", "trials": "3", "tuning-epochs": "30", "tuning-inner-sizes": "12",
             "tuning-learning-rate": "0.01,0.1"}  # fmt: skip
    result = run(flags=flags)
    assert result.manifest.training["selection"]["inner_size"] == 12
    assert result.manifest.training["selection"]["trials"] == 3
    predictor = Predictor.load(result.bundle, threads=1)
    right = [
        predictor.predict_file(path).category == name
        for name in ("red", "green", "blue")
        for path in (photos / name).iterdir()
    ]
    assert np.mean(right) > 0.6


def test_places_lie_beside_the_bundle(tmp_path):
    """By its name, without .zip."""
    places = places_beside(tmp_path / "m.v2.zip")
    assert places.work == tmp_path / "m.v2.work"
    assert places.report == tmp_path / "m.v2.report.html"
    assert places_beside(tmp_path / "m.v2").taxonomy == tmp_path / "m.v2.taxonomy.toml"
    assert places_beside(tmp_path / "m", work=tmp_path / "w").work == tmp_path / "w"
