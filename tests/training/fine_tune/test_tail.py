"""Training what is behind a backbone's first layers: like training the whole with those frozen."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from tests.training.tiny_run import SETTINGS, SPEC, small_network, write_photos

from binsight.errors import SettingsError
from binsight.imaging import prepare_photo
from binsight.training.fine_tune import trainer
from binsight.training.fine_tune.batches import Batch, ViewBatches
from binsight.training.fine_tune.loop import fine_tune
from binsight.training.fine_tune.network import build_network, split_backbone
from binsight.training.fine_tune.validation import predict_outputs

TAIL_SETTINGS = replace(
    SETTINGS,
    epochs=6,
    learning_rate=0.02,
    freeze_norm=False,
    keep="last",
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A backbone, its tail with heads, and photos with what the first layer makes of them."""
    folder = tmp_path_factory.mktemp("photos")
    backbone = small_network().get_layer("backbone")
    tail = split_backbone(backbone, "relu0")
    front = keras.Model(backbone.input, backbone.get_layer("relu0").output)
    found = {"backbone": backbone, "tail": tail}
    for name, count in (("train", 24), ("val", 12)):
        photos = write_photos(folder / name, count, seed=count)
        images = np.stack([prepare_photo(path.read_bytes(), SPEC) for path in photos.paths])
        found[name] = photos, images, np.asarray(front(images.astype(np.float32))).astype(np.float16)
    return found


def heads_on(tail):
    """A network that is the same for each call."""
    keras.utils.set_random_seed(2)
    return build_network(tail, classes=3, biodegradable=True)


def tune(parts, work, **options):
    """Train the tail on two views that are the same."""
    (train, _, seen), (val, _, seen_val) = parts["train"], parts["val"]
    start = parts["tail"].get_weights()
    network = heads_on(parts["tail"])
    batches = ViewBatches(train, 3, options.pop("settings", TAIL_SETTINGS), 1, [seen, seen], plain_share=0.5)

    def predict():
        return predict_outputs(network, seen_val, len(seen_val))

    result = fine_tune(network, batches, val, predict, spec=SPEC, work=work, **options)
    parts["tail"].set_weights(start)
    return result


def test_the_tail_is_the_rest_of_the_backbone(parts):
    """On what the first layers give, it gives what the whole gives."""
    _, images, seen = parts["val"]
    whole = np.asarray(parts["backbone"](images.astype(np.float32)))
    np.testing.assert_allclose(np.asarray(parts["tail"](seen.astype(np.float32))), whole, atol=2e-3)


def test_the_tail_shares_its_weights(parts):
    """Training one trains the other."""
    assert parts["tail"].get_layer("conv2").kernel is parts["backbone"].get_layer("conv2").kernel


def test_it_learns(parts, tmp_path):
    """The loss falls."""
    result = tune(parts, tmp_path / "work")
    assert result.history[-1].train_loss < 0.8 * result.history[0].train_loss
    assert len(result.history) == TAIL_SETTINGS.epochs


def test_a_run_that_was_stopped_goes_on_where_it_was(parts, tmp_path):
    """Stopped in the fourth epoch and resumed, it ends with the same weights."""
    whole = tune(parts, tmp_path / "whole")

    def stop(done, _steps):
        if done == 10:  # three steps an epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(parts, tmp_path / "stopped", progress=stop)
    resumed = tune(parts, tmp_path / "stopped", resume=True)
    for a, b in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_on_a_gpu_the_tail_computes_in_bfloat16(parts, tmp_path, monkeypatch):
    """Where that is asked for, and only while it is trained."""
    monkeypatch.setattr(trainer, "find_gpus", lambda: ["gpu:0"])
    monkeypatch.setattr(trainer, "_compiles_to_xla", lambda: False)
    layer, seen = parts["tail"].get_layer("conv2"), []
    settings = replace(TAIL_SETTINGS, epochs=1, mixed_precision=True)
    tune(parts, tmp_path / "work", settings=settings, on_epoch_end=lambda _: seen.append(layer.compute_dtype))
    assert seen == ["bfloat16"]
    assert layer.compute_dtype == "float32"


def test_batches_take_rows_of_the_views(parts):
    """Photo i of the training is row i of each view; an altered view is never number 0."""
    photos, _, seen = parts["train"]
    plain, altered = seen, seen + np.float16(100)
    batches = ViewBatches(photos, 3, TAIL_SETTINGS, 0, [plain, altered], plain_share=0.0)
    batch = next(batches.epoch(1))
    assert isinstance(batch, Batch)
    assert batch.images.dtype == np.float32
    for image, target in zip(batch.images, batch.targets["logits"], strict=True):
        (row,) = np.flatnonzero((altered.astype(np.float32) == image).all(axis=(1, 2, 3)))
        assert photos.labels[row] == target.argmax()


def test_predictions_do_not_depend_on_the_batch(parts):
    """The last one is filled up, and what fills it is dropped."""
    network = heads_on(parts["tail"])
    _, _, seen = parts["val"]
    many = predict_outputs(network, np.tile(seen, (6, 1, 1, 1)), 72)["logits"]
    assert many.shape == (72, 3)
    np.testing.assert_allclose(many[-12:], predict_outputs(network, seen, 12)["logits"], atol=1e-5)


def test_one_view_is_too_few(parts):
    """There would be nothing altered to learn from."""
    train, _, seen = parts["train"]
    with pytest.raises(SettingsError, match="expected two views or more, got 1"):
        ViewBatches(train, 3, TAIL_SETTINGS, 1, [seen], plain_share=0.5)
