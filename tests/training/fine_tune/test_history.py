"""What happened in each epoch, on disk and elsewhere."""

import sys
import types
from dataclasses import replace

import pytest
from tests.training.tiny_run import read_history

from binsight.errors import MissingExtraError, OutputError
from binsight.training.fine_tune.history import (
    EpochRecord,
    log_to_mlflow,
    log_to_tensorboard,
    write_history,
)

RECORD = EpochRecord(1, 3e-4, 1.25, 1 / 3, 0.75, 0.7, None, 12.5)


def test_csv_has_one_row_per_epoch_and_is_exact(tmp_path):
    """Written and read again, also where there is no second head; nothing else is left in the folder."""
    records = [RECORD, replace(RECORD, epoch=2, val_biodegradable_accuracy=0.9)]
    path = tmp_path / "run" / "history.csv"
    write_history(path, records)
    assert read_history(path) == records
    assert path.read_text().splitlines()[0].startswith("epoch,learning_rate,train_loss,val_loss,val_accuracy")
    assert list(path.parent.iterdir()) == [path]


def test_of_equally_right_ones_the_lower_loss_is_better():
    """Accuracy counts first."""
    worse, better = replace(RECORD, val_accuracy=0.9, val_loss=0.1), replace(RECORD, val_accuracy=0.95, val_loss=0.2)
    assert better.rank > worse.rank
    assert replace(better, val_loss=0.1).rank > better.rank


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    """A file stands in its place."""
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*history\.csv"):
        write_history(tmp_path / "run" / "history.csv", [RECORD])


class FakeMlflow(types.ModuleType):
    """Remembers what it is told."""

    def __init__(self, active):
        super().__init__("mlflow")
        self.told, self.active = [], active

    def active_run(self):
        return self.active

    def start_run(self):
        self.told.append("start")

    def log_params(self, parameters):
        self.told.append(parameters)

    def log_metrics(self, metrics, step):
        self.told.append((step, metrics))


@pytest.mark.parametrize("active", [None, "a run"])
def test_mlflow_is_told_parameters_and_epochs(monkeypatch, active):
    """A run is begun only where none is; what is unknown is left out."""
    fake = FakeMlflow(active)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    log = log_to_mlflow({"epochs": 3, "augment": {"hue": 8}})
    log(RECORD)
    told = fake.told[1:] if active is None else fake.told
    assert fake.told[0] == "start" or active
    assert told[0] == {"epochs": 3, "augment.hue": 8}
    assert told[1][0] == 1
    assert told[1][1]["val_accuracy"] == 0.75
    assert "val_biodegradable_accuracy" not in told[1][1]


def test_without_mlflow_the_error_says_how_to_get_it(monkeypatch):
    """One line."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match="--log-to mlflow needs"):
        log_to_mlflow({})


def test_tensorboard_finds_each_number_of_each_epoch(tmp_path):
    """Two epochs, six numbers each, in one file of events."""
    import tensorflow as tf  # noqa: PLC0415 - takes seconds
    from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415

    log = log_to_tensorboard(tmp_path)
    log(RECORD)
    log(replace(RECORD, epoch=2, val_accuracy=0.875))
    (file,) = tmp_path.iterdir()
    events = [Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    found = [(e.step, v.tag, tf.make_ndarray(v.tensor).item()) for e in events for v in e.summary.value]
    assert len(found) == 12
    assert (2, "val_accuracy", 0.875) in found
    assert {tag for _, tag, _ in found} == {
        "learning_rate", "train_loss", "val_loss", "val_accuracy", "val_macro_f1", "seconds"
    }  # fmt: skip
