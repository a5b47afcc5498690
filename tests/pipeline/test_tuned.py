"""Fine-tuning, averaging and new heads."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from onnx import load_from_string
from onnx.numpy_helper import to_array
from tests.pipeline.tiny import COLOURS, FAST, CollectingReporter, make_photos, make_small

from binsight.bundle import load_bundle, verify_bundle
from binsight.dataset import scan
from binsight.errors import BundleError, SettingsError
from binsight.imaging import prepare_photo
from binsight.pipeline import tuned
from binsight.pipeline.backbone import choose_backbone
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.tail import find_cut
from binsight.pipeline.train import places_beside, train
from binsight.taxonomy import Taxonomy
from binsight.training.backbones import BACKBONE_FILE
from binsight.training.fine_tune import batches, loop
from binsight.training.fine_tune.activations import cut_graph
from binsight.training.fine_tune.batches import TrainingBatches

FLAGS = {
    **FAST,
    "preset": "best",
    "epochs": "2",
    "learning-rate": "0.02",
    "augment": "none",
    "fine-tune-average": "0,0.5,1",
    "fine-tune-views": "0",
    "fine-tune-frozen-share": "0",
    "heads-inverse-penalties": "0.1",
}


WITH_AUGMENTATION = {name: value for name, value in FLAGS.items() if name != "augment"}


@pytest.fixture
def run(tiny, photos, tmp_path, reporter):
    """Trains a backbone of one convolution."""

    def go(*, out="mine", flags=None, **options):
        config = resolve_config(flags={**FLAGS, **(flags or {})})
        found = scan(photos, taxonomy=COLOURS)
        return train(found, config, places_beside(tmp_path / out), workers=2, reporter=reporter, **options)

    return go


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """The folder of one finished training, and what it told; no test changes it."""
    folder, told = tmp_path_factory.mktemp("tuned"), CollectingReporter()
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        config = resolve_config(flags=FLAGS)
        train(scan(photos, taxonomy=COLOURS), config, places_beside(folder / "mine"), workers=2, reporter=told)
    return folder, told


def test_the_backbone_is_trained_averaged_and_measured(finished):
    """Every average is tried on val; the record says which was taken, and the history is kept as CSV."""
    folder, told = finished
    assert verify_bundle(folder / "mine") == []
    training = load_bundle(folder / "mine").manifest.training
    record = training["fine_tuning"]
    accuracies = record["val_accuracy_by_share"]
    assert list(accuracies) == ["0", "0.5", "1"]
    assert accuracies[f"{record['share']:g}"] == max(accuracies.values())
    assert record["epochs"] == 2
    assert training["chosen_on_val"]
    assert sum(line.startswith("epoch ") for line in told.lines) == 2
    (history,) = (folder / "mine.work").glob("fine-tune-*/history.csv")
    assert len(history.read_text().splitlines()) == 3


def test_what_comes_after_a_finished_fine_tuning_is_not_trained_again(run, finished, tmp_path, monkeypatch):
    """The averages lie in the work folder: which is best decides what the bundle holds."""
    shutil.copytree(finished[0] / "mine.work", tmp_path / "mine.work")
    monkeypatch.setattr(tuned, "_train", lambda *_args: pytest.fail("trained again"))
    monkeypatch.setattr(tuned, "_accuracy", lambda _run, fitted: float("tuned" in fitted.source.path.name))
    assert BACKBONE_FILE in load_bundle(run(resume=True).bundle).manifest.files
    bare = run(resume=True, flags={"bundle-store-weights": "no"})
    assert BACKBONE_FILE not in load_bundle(bare.bundle).manifest.files
    monkeypatch.setattr(tuned, "_accuracy", lambda _run, fitted: float("frozen" in fitted.source.path.name))
    frozen = run(resume=True)
    assert BACKBONE_FILE not in load_bundle(frozen.bundle).manifest.files
    assert "did not make it more accurate" in frozen.manifest.training["fine_tuning"]["summary"]


def test_another_average_is_only_averaged(run, finished, tmp_path, monkeypatch):
    """Nothing is trained, no photo looked at twice, and the average is what it would have been from the beginning."""
    whole = load_bundle(finished[0] / "mine").manifest.training["fine_tuning"]
    shutil.copytree(finished[0] / "mine.work", tmp_path / "mine.work")
    monkeypatch.setattr(tuned, "_train", lambda *_args: pytest.fail("trained again"))
    averaged, average = [], tuned._average
    monkeypatch.setattr(tuned, "_average", lambda *args: (averaged.append(args[3]), average(*args)))
    record = run(resume=True, flags={"fine-tune-average": "0,1,0.25"}).manifest.training["fine_tuning"]
    assert averaged == [0.25]
    assert list(record["val_accuracy_by_share"]) == ["0", "0.25", "1"]
    assert record["history"] == whole["history"]
    (graph,) = (tmp_path / "mine.work" / "graphs").glob("tuned-*-1.onnx")
    first = graph.read_bytes()
    graph.unlink()
    run(resume=True, flags={"fine-tune-average": "1"})
    assert averaged == [0.25, 1.0]
    assert graph.read_bytes() == first


def test_what_the_heads_were_chosen_among_does_not_matter(run, finished, tmp_path, monkeypatch):
    """The same heads: the backbone is not trained from them again."""
    shutil.copytree(finished[0] / "mine.work", tmp_path / "mine.work")
    monkeypatch.setattr(tuned, "_train", lambda *_args: pytest.fail("trained again"))
    run(resume=True, flags={"heads-folds": "3"})


def test_an_interrupted_fine_tuning_goes_on(run, finished, monkeypatch):
    """Stopped after its first epoch: that is not trained again, and the network is the same."""
    whole = load_bundle(finished[0] / "mine")
    tell, told = tuned._on_epoch_end, []

    def stop(_run, _folder):
        def after(record):
            told.append(record.epoch)
            raise KeyboardInterrupt

        return after

    with monkeypatch.context() as patch:
        patch.setattr(tuned, "_on_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert told == [1]

    def count(run_, folder):
        say = tell(run_, folder)
        return lambda record: (told.append(record.epoch), say(record))

    monkeypatch.setattr(tuned, "_on_epoch_end", count)
    resumed = load_bundle(run(resume=True).bundle)
    assert told == [1, 2]
    assert resumed.read("model.onnx") == whole.read("model.onnx")


@pytest.mark.parametrize(
    ("backbone", "share", "block"),
    [("efficientnet_lite0", 0.7, 10), ("efficientnet_lite0", 1.0, 14), ("efficientnet_lite2", 0.5, 9)],
)
def test_the_cut_is_the_last_shortcut_within_the_frozen_share(backbone, share, block):
    """Both names are of the same place."""
    chosen = choose_backbone(resolve_config(flags={"backbone": backbone, "backbone-size": "32"}))
    cut = find_cut(chosen, share)
    assert cut.layer == f"blocks_{block}_add"
    assert cut_graph(chosen.to_onnx(), cut.tensor)


def test_there_is_no_cut_where_nothing_is_frozen_or_names_are_not_ours():
    """The whole backbone is trained then."""
    assert find_cut(choose_backbone(resolve_config()), 0.0) is None
    assert find_cut(choose_backbone(resolve_config(flags={"backbone": "xception"})), 0.7) is None


def _spy(monkeypatch, module, name):
    """What a function is called with."""
    calls, function = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **options: (calls.append(args), function(*args, **options))[1])
    return calls


def _drops(network, shape):
    """Whether the network gives something else each time it is trained on the same."""
    seen = np.random.default_rng(0).uniform(0, 255, (4, *shape)).astype(np.float32)
    first, second = (np.asarray(network(seen, training=True)["logits"]) for _ in range(2))
    return bool((first != second).any())


def test_the_last_part_is_trained_on_views(photos, tmp_path, reporter, monkeypatch):
    """The real backbone, but for one block frozen; the views are gone afterwards, the weights are in the bundle.

    The preset alters photos, and drops some of what the heads see; the heads that it starts from saw altered ones too.
    """
    monkeypatch.setattr(tuned, "_accuracy", lambda _run, fitted: float("tuned" in fitted.source.path.name))
    calls = _spy(monkeypatch, loop, "fine_tune")
    flags = {"fine-tune-views": "2", "fine-tune-frozen-share": "1", "epochs": "1", "fine-tune-average": "0.5",
             "fine-tune-head-views": "1"}  # fmt: skip
    config = resolve_config(flags={**WITH_AUGMENTATION, **flags})
    places = places_beside(tmp_path / "mine")
    result = train(scan(photos, taxonomy=COLOURS), config, places, workers=2, reporter=reporter)
    assert BACKBONE_FILE in result.manifest.files
    assert result.manifest.training["fine_tuning"]["trained"] == "the backbone behind blocks_14_add"
    assert "the heads, fitted on 1 altered views" in result.manifest.training["fine_tuning"]["summary"]
    kept = (next((tmp_path / "mine.work").glob(name)) for name in ("heads-*.npz", "tuned-*-seed-*.npz"))
    plainly, start = (dict(np.load(path)) for path in kept)
    heads = [array for name, array in start.items() if name.startswith("start.") and array.shape == (1280, 3)]
    assert len(heads) == 1
    assert not np.allclose(heads[0], plainly["categories.weight"], atol=1e-4)
    assert not (tmp_path / "mine.work" / "activations").exists()
    assert "First layers: train, view 3" in reporter.stages
    assert verify_bundle(result.bundle) == []
    ((network, lessons, *_),) = calls
    plain, *altered = lessons.views
    assert len(altered) == 2
    for view in altered:
        assert (np.abs(view - plain).max(axis=(1, 2, 3)) > 0).mean() > 0.9
    assert _drops(network, plain.shape[1:])


def test_the_whole_backbone_is_trained_on_altered_photos(run, monkeypatch):
    """As the preset has it: hardly a photo is seen as it is, and some of what the heads see is dropped."""
    calls, seen, epoch = _spy(monkeypatch, loop, "fine_tune"), [], TrainingBatches.epoch
    monkeypatch.setattr(
        TrainingBatches, "epoch", lambda self, n: ((seen.append(batch.images), batch)[1] for batch in epoch(self, n))
    )
    run(flags={"augment": "strong", "epochs": "1"})
    ((network, lessons, *_),) = calls
    spec = choose_backbone(resolve_config(flags=FLAGS)).spec
    plain = {prepare_photo(path.read_bytes(), spec).tobytes() for path in lessons.photos.paths}
    pictures = [picture.tobytes() for batch in seen for picture in batch]
    assert len(pictures) >= 32
    assert sum(picture in plain for picture in pictures) < 0.1 * len(pictures)
    assert _drops(network, (*spec.size, 3))


def test_several_seeds_are_trained_from_one_start_and_averaged(run, tmp_path):
    """The weights are the mean of what each reached, half of it with the start; each is measured by itself, too.

    Photos of none of the classes are among those that are trained on.
    """
    strange = make_photos(tmp_path / "strange", each=2, start=900)
    flags = {"fine-tune-average": "0.5", "seeds": "3,4", "fine-tune-keep": "last", "epochs": "1",
             "evaluate-noise": "yes", "outliers": str(strange)}  # fmt: skip
    result = run(flags=flags)
    training = result.manifest.training
    assert set(training["seeds"]) == {"3", "4"}
    assert {"accuracy", "accepted_share_cross_fitted", "noise: reviewed_share"} <= set(training["seeds"]["3"])
    assert training["photos"]["outliers"] == 6
    assert "chosen_on_val" not in training  # one share, and the last epoch
    assert "with 2 seeds" in training["fine_tuning"]["summary"]
    assert "The trainings with the seeds 3, 4 by themselves" in (result.bundle / "card.md").read_text()
    first, second = (dict(np.load(path)) for path in sorted((tmp_path / "mine.work").glob("tuned-*-seed-*.npz")))
    starts = [name for name in first if name.startswith("start.")]
    assert all((first[name] == second[name]).all() for name in starts)
    assert any((first[f"tuned.{i}"] != second[f"tuned.{i}"]).any() for i in range(len(starts)))
    bundle = load_bundle(result.bundle)
    constants = {c.name: to_array(c) for c in load_from_string(bundle.read_model()).graph.initializer}
    (head,) = (i for i in range(len(starts)) if first[f"start.{i}"].shape == constants["logits.weight"].shape == (3, 3))
    mean = (2 * first[f"start.{head}"] + first[f"tuned.{head}"] + second[f"tuned.{head}"]) / 4
    np.testing.assert_allclose(constants["logits.weight"], mean, rtol=1e-5, atol=1e-7)


def _constants(bundle):
    """Of a bundle's network, by name."""
    return {c.name: to_array(c) for c in load_from_string(load_bundle(bundle).read_model()).graph.initializer}


def test_training_goes_on_from_a_bundle(run, finished, photos, tmp_path, reporter, monkeypatch):
    """Its heads, in the order of these photos' classes; a class that it does not know is refused."""
    shutil.copytree(finished[0] / "mine.work", tmp_path / "start.work")
    start = run(out="start", resume=True, flags={"fine-tune-average": "1"}).bundle
    assert BACKBONE_FILE in load_bundle(start).manifest.files
    flags = {"backbone": f"bundle:{start}", "head": "bundle", "fine-tune": "no"}
    monkeypatch.setattr("binsight.pipeline.frozen.fit_heads", lambda *_a, **_o: pytest.fail("fitted"))
    result = run(flags=flags)
    before, after = _constants(start), _constants(result.bundle)
    for name in ("logits.weight", "logits.bias", "biodegradable_logit.weight"):
        np.testing.assert_array_equal(after[name], before[name])
    assert result.manifest.training["heads"] == "those of colours 0.1.0"
    turned = Taxonomy("colours", COLOURS.classes[::-1])
    config = resolve_config(flags={**FLAGS, **flags})
    other = train(scan(photos, taxonomy=turned), config, places_beside(tmp_path / "turned"), reporter=reporter)
    np.testing.assert_array_equal(_constants(other.bundle)["logits.weight"], before["logits.weight"][:, ::-1])
    strange = make_photos(tmp_path / "strange", names=("red", "glass", "blue"))
    with pytest.raises(BundleError, match=r"colours 0.1.0 has no heads for glass; it knows red, green, blue"):
        train(scan(strange), config, places_beside(tmp_path / "strange-out"), reporter=reporter)


def test_heads_of_a_bundle_need_its_backbone():
    """Found before anything is done."""
    with pytest.raises(SettingsError, match="heads of a bundle need its backbone, bundle:PATH, got the backbone auto"):
        resolve_config(flags={"head": "bundle"})


def test_sources_are_balanced_and_held_out_strangers_measured(run, tmp_path, monkeypatch):
    """The levers together: sources reach the draws, empty places the views; what is held out has a figure."""
    strange = make_photos(tmp_path / "strange", each=5, start=900)
    calls = _spy(monkeypatch, batches, "TrainingBatches")
    flags = {"epochs": "1", "augment-above": "0.5", "data-backdrops": str(strange), "fine-tune-source-balance": "0.5",
             "outliers": str(strange), "hold-out": "strange:0.4", "data-corners": "4"}  # fmt: skip
    result = run(flags=flags)
    ((known, _, settings, *_, backdrops),) = calls
    assert set(known.sources) == {"", "strange", "corners"}
    assert settings.source_balance == 0.5
    held = result.manifest.metrics["held out: strange"].photos
    assert 0 < held < 15
    assert len(backdrops) == 15 - held
    assert result.manifest.training["photos"]["outliers"] == 15 - held + 4
    with np.load(tmp_path / "mine.work" / "decisions.npz") as kept:
        decisions = dict(kept)
    of_held = decisions["sources"] == "strange"
    assert of_held.sum() == held
    assert (decisions["classes"][of_held] == -1).all()
    assert not decisions["right"][of_held].any()
    reviewed = result.manifest.metrics["held out: strange"].values["reviewed_share"].value
    assert 1 - decisions["accepted"][of_held].mean() == pytest.approx(reviewed)
    of_val = decisions["sources"] == "val"
    assert decisions["right"][of_val].mean() == result.manifest.metrics["val"].values["accuracy"].value
