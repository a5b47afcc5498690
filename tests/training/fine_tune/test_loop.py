"""Fine-tuning: it learns, keeps the best, and continues exactly where it was, however it ended."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.training.tiny_run import SETTINGS, SPEC, read_history, run, small_network, tune, write_photos

from binsight.errors import CheckpointError, DatasetError, ImageError, OutputError, SettingsError
from binsight.training.augment.settings import AugmentSettings
from binsight.training.fine_tune.checkpoint import RunFolder

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Where the runs of this module have their photos."""
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A run without any trouble: its weights, its result, its folder."""
    work = tmp_path_factory.mktemp("whole") / "work"
    network, result = run(work, photos)
    return network.get_weights(), result, work


def without_time(history):
    """What must be the same in each run."""
    return [replace(record, seconds=0) for record in history]


def assert_same(weights, others):
    """Equal to the last digit that float32 has, or nearly."""
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_it_learns(photos, tmp_path):
    """Which of three colours a square has, from random weights, in ten epochs."""
    settings = replace(
        SETTINGS,
        epochs=10,
        learning_rate=0.02,
        freeze_norm=False,
    )
    _, result = run(tmp_path / "work", photos, settings=settings)
    assert result.validation.accuracy > 0.9
    assert result.history[-1].train_loss < 0.6 * result.history[0].train_loss


def test_the_network_has_the_weights_of_the_best_epoch(whole):
    """The history has each epoch, on disk too."""
    weights, result, work = whole
    assert [record.epoch for record in result.history] == [1, 2, 3, 4]
    assert read_history(work / "history.csv") == list(result.history)
    assert_same(weights, result.weights)
    best = max(result.history, key=lambda record: (record.val_accuracy, -record.val_loss))
    assert result.best_epoch == best.epoch
    assert result.validation.accuracy == best.val_accuracy


def test_the_last_epoch_is_kept_where_that_is_asked_for(photos, tmp_path):
    """A rate that spoils everything in the second epoch: the first is the best, the second is kept."""
    settings = replace(SETTINGS, epochs=2, learning_rate=3.0, weight_decay=0, warmup_epochs=0, ema_decay=0, keep="last")
    network, result = run(tmp_path / "work", photos, settings=settings)
    last = RunFolder(tmp_path / "work").read_newest()[0].groups["network"]
    assert_same(result.weights, network.get_weights())
    for kept, state in zip(network.variables, last, strict=True):
        np.testing.assert_array_equal(np.array(kept.numpy()), state)
    assert result.validation.accuracy == result.history[-1].val_accuracy


def test_what_is_frozen_does_not_change_and_the_rest_does(photos, tmp_path):
    """Normalisation and the first layer stay; after the run all can be trained again."""
    network = small_network()
    before = network.get_weights()
    run(tmp_path / "work", photos, network=network, settings=replace(SETTINGS, epochs=1, frozen_share=0.2))
    changed = {
        v.path for v, old, new in zip(network.weights, before, network.get_weights(), strict=True) if (old != new).any()
    }
    assert not [path for path in changed if "norm" in path or "conv0" in path]
    assert [path for path in changed if "conv2" in path]
    assert [path for path in changed if "logits" in path]
    assert all(layer.trainable for layer in network.get_layer("backbone").layers)


def test_the_same_seed_gives_the_same_weights(whole, photos, tmp_path):
    """Whatever the number of workers and the memory for pixels."""
    network, result = run(tmp_path / "again", photos, workers=1, memory=0)
    assert_same(network.get_weights(), whole[0])
    assert without_time(result.history) == without_time(whole[1].history)


def test_a_killed_run_continues_to_the_same_weights(whole, photos, tmp_path):
    """SIGKILL in the middle of the third epoch, from outside; then a new process, here this one, resumes."""
    work = tmp_path / "work"
    command = [sys.executable, "-m", "tests.training.tiny_run", str(work), str(photos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
    assert RunFolder(work).epochs() == [2, 1]
    # The network that comes along is another: a resumed run has its own weights.
    network, result = run(work, photos, resume=True, network=small_network(seed=9))
    assert_same(network.get_weights(), whole[0])
    assert_same(result.start, whole[1].start)
    assert without_time(result.history) == without_time(whole[1].history)
    assert read_history(work / "history.csv") == list(result.history)


class Stop(BaseException):
    """The process ends here."""


def stop_in_first_epoch(monkeypatch):
    """Before anything but the start was written."""
    return {"progress": lambda done, steps: stop() if done == 2 else None}


def stop_between_best_and_state(monkeypatch):
    """The best weights of the second epoch are there, its state is not."""
    write = RunFolder.write_epoch

    def write_best_only(self, epoch, state, best):
        if epoch < 2:
            return write(self, epoch, state, best)
        (self.path / "best-0002.npz").write_bytes(b"half a file")
        (self.path / ".epoch-0002.npz.draft").write_bytes(b"half a file")
        return stop()

    monkeypatch.setattr(RunFolder, "write_epoch", write_best_only)
    return {}


def stop_before_history(monkeypatch):
    """The state of the second epoch is there, its row in the history is not."""
    write = RunFolder.write_epoch

    def write_and_stop(self, epoch, state, best):
        write(self, epoch, state, best)
        if epoch == 2:
            stop()

    monkeypatch.setattr(RunFolder, "write_epoch", write_and_stop)
    return {}


def stop():
    """End it."""
    raise Stop


@pytest.mark.parametrize("stopping", [stop_in_first_epoch, stop_between_best_and_state, stop_before_history])
def test_wherever_a_run_stops_it_continues_to_the_same_weights(whole, photos, tmp_path, stopping):
    """In an epoch, while the state is written, and right after."""
    work = tmp_path / "work"
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(Stop):
        run(work, photos, **stopping(monkeypatch))
    network, _ = run(work, photos, resume=True)
    assert_same(network.get_weights(), whole[0])
    assert without_time(read_history(work / "history.csv")) == without_time(whole[1].history)


def test_a_finished_run_can_be_asked_again(whole, photos):
    """It trains nothing and gives the same."""
    network, result = run(whole[2], photos, resume=True, progress=lambda *_: pytest.fail("trained"))
    assert_same(network.get_weights(), whole[0])
    assert result.history == whole[1].history


def test_a_run_is_not_overwritten_nor_continued_with_other_settings(whole, photos):
    """The messages say what is there, and what differs."""
    with pytest.raises(OutputError, match="has a run of 4 epochs; resume it or name another folder"):
        run(whole[2], photos)
    with pytest.raises(CheckpointError, match="differs in epochs was 4, now 5: resume with what it was begun with"):
        run(whole[2], photos, resume=True, settings=replace(SETTINGS, epochs=5))


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_failed_in_its_first_epoch_does_not_block_the_corrected_one(photos, tmp_path, resume):
    """A rate that was too high is lowered: it begins anew, in the same folder, with the network that came along."""
    work, settings = tmp_path / "work", replace(SETTINGS, epochs=1)
    with pytest.raises(SettingsError, match="diverged"):
        run(work, photos, settings=replace(settings, learning_rate=10, weight_decay=1e6, warmup_epochs=0))
    network = small_network(seed=9)
    before = network.get_weights()
    _, result = run(work, photos, settings=settings, resume=resume, network=network)
    assert_same(result.start, before)
    assert len(result.history) == 1


def test_the_running_mean_is_what_is_judged_and_kept(photos, tmp_path):
    """Worked out beside the run from the weights after each step: e ← d e + (1 - d) w, d = min(0.8, t / (t + 9))."""
    network, after = small_network(), []
    steps = {"progress": lambda *_: after.append(network.get_weights()), "network": network}
    _, result = run(tmp_path / "work", photos, settings=replace(SETTINGS, epochs=2, keep="last"), **steps)
    mean = result.start
    for step, weights in enumerate(after, start=1):
        decay = min(SETTINGS.ema_decay, step / (step + 9))
        mean = [decay * e + (1 - decay) * w for e, w in zip(mean, weights, strict=True)]
    for kept, expected in zip(result.weights, mean, strict=True):
        np.testing.assert_allclose(kept, expected, rtol=1e-4, atol=1e-5)
    assert result.validation.accuracy == result.history[-1].val_accuracy


def test_it_stops_early(photos, tmp_path):
    """With a rate that changes nothing, the first epoch is the best, and two more are waited for."""
    settings = replace(SETTINGS, epochs=9, learning_rate=1e-12, early_stop_patience=2, ema_decay=0)
    _, result = run(tmp_path / "work", photos, settings=settings)
    assert len(result.history) == 3
    assert result.best_epoch == 1


def test_a_rate_that_is_too_high_is_reported(photos, tmp_path):
    """Not trained on with infinite weights."""
    settings = replace(
        SETTINGS, learning_rate=10, weight_decay=1e6, warmup_epochs=0, epochs=9, augment=AugmentSettings()
    )
    with pytest.raises(SettingsError, match=r"training diverged: the loss is .* lower learning_rate"):
        run(tmp_path / "work", photos, settings=settings)


def test_progress_and_records_are_told(photos, tmp_path):
    """Three steps in each of two epochs."""
    told, records = [], []
    settings = replace(SETTINGS, epochs=2)
    run(
        tmp_path / "work",
        photos,
        settings=settings,
        network=small_network(biodegradable=False),
        progress=lambda done, steps: told.append((done, steps)),
        on_epoch_end=records.append,
    )
    assert told == [(i, 6) for i in range(1, 7)]
    assert [record.epoch for record in records] == [1, 2]
    assert records[0].val_biodegradable_accuracy is None


def test_photos_that_do_not_fit_are_refused(tmp_path):
    """Too many classes, no labels for the second head, an unreadable file."""
    network, good = small_network(), write_photos(tmp_path / "photos", 6)
    options = {"settings": SETTINGS, "spec": SPEC, "work": tmp_path / "work", "seed": 0}
    bad = replace(good, labels=good.labels + 1, biodegradable=None)
    with pytest.raises(DatasetError, match=r"training photos have label 3, the network 3 classes; .* no such labels"):
        tune(network, bad, good, **options)
    good.paths[3].write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"03\.png"):
        tune(network, good, good, **options)
