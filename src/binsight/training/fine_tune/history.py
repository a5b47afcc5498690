"""What happened in each epoch of a run: as CSV, for TensorBoard, for MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from binsight.extras import needs_extra
from binsight.files import write_whole
from binsight.text_files import csv_text

__all__ = ["EpochRecord", "OnEpochEnd", "log_to_mlflow", "log_to_tensorboard", "write_history"]


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch of a run.

    Attributes:
        epoch: 1 for the first.
        learning_rate: at its last step.
        train_loss: mean over its batches, with augmentation and smoothing: not comparable to `val_loss`.
        val_loss: cross-entropy plus the weighted one of the second head.
        val_accuracy: of the categories.
        val_macro_f1: mean over the classes.
        val_biodegradable_accuracy: of the second head; None where there is none.
        seconds: wall time, validation included.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_macro_f1: float
    val_biodegradable_accuracy: float | None
    seconds: float

    @property
    def rank(self) -> tuple[float, float]:
        """Larger is better: by accuracy, then by loss."""
        return self.val_accuracy, -self.val_loss


OnEpochEnd = Callable[[EpochRecord], None]


def write_history(path: Path, records: Sequence[EpochRecord]) -> None:
    """Write one row per epoch as CSV; a file that is there is replaced as a whole.

    Raises:
        OutputError: it cannot be written.
    """
    rows = [astuple(record) for record in records]
    write_whole(path, csv_text([[field.name for field in fields(EpochRecord)], *rows]))


def log_to_tensorboard(folder: Path) -> OnEpochEnd:
    """What to call after each epoch to have it shown by `tensorboard --logdir FOLDER`.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    with needs_extra("The log for TensorBoard", "train"):
        import tensorflow as tf  # noqa: PLC0415 - takes seconds
    writer = tf.summary.create_file_writer(str(folder))

    def log(record: EpochRecord) -> None:
        with writer.as_default(step=record.epoch):
            for name, value in _numbers(record).items():
                tf.summary.scalar(name, value)
        writer.flush()

    return log


def log_to_mlflow(parameters: Mapping[str, Any]) -> OnEpochEnd:
    """What to call after each epoch to have it in MLflow's active run, or in a new one that is begun here.

    Where the log is kept is MLflow's own setting (`MLFLOW_TRACKING_URI`).

    Args:
        parameters: what the run is described by; nested ones are named `outer.inner`.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    with needs_extra("--log-to mlflow", "mlflow"):
        import mlflow  # noqa: PLC0415 - optional
    if mlflow.active_run() is None:
        mlflow.start_run()
    mlflow.log_params(_flat(parameters))

    def log(record: EpochRecord) -> None:
        mlflow.log_metrics(_numbers(record), step=record.epoch)

    return log


def _numbers(record: EpochRecord) -> dict[str, float]:
    return {key: value for key, value in asdict(record).items() if key != "epoch" and value is not None}


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
