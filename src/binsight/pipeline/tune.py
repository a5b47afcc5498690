"""A search for the settings of a head by itself: a table, pictures, and the settings to train with."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from binsight.dataset import Dataset
from binsight.files import write_whole
from binsight.pipeline.backbone import choose_backbone
from binsight.pipeline.config import TrainConfig
from binsight.pipeline.frozen import search_inner, study_name
from binsight.pipeline.run import Means, Run
from binsight.pipeline.work import Work
from binsight.text_files import csv_text
from binsight.training.heads.search import (
    TrialRecord,
    best_trial,
    measure_importance,
    open_study,
    study_faults,
    trial_records,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TuneResult", "tune"]


@dataclass(frozen=True)
class TuneResult:
    """What a search found.

    Attributes:
        study: its name in the database.
        trials: all that are finished, in order.
        best: the most accurate one.
        importance: how much of the accuracy's variance each setting explains; empty after too few trials.
        seconds: the wall time.
        files: what was written.
    """

    study: str
    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    importance: Mapping[str, float]
    seconds: float
    files: tuple[Path, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "study": self.study,
            "best": self.best.to_dict(),
            "importance": dict(self.importance),
            "trials": [trial.to_dict() for trial in self.trials],
            "seconds": round(self.seconds, 1),
            "files": [str(path) for path in self.files],
        }


def tune(
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    work: Path,
    resume: bool = False,
    overwrite: bool = False,
    **means: Unpack[Means],
) -> TuneResult:
    """Search the learning rate, the inner size and the dropout of a head on frozen features.

    A fifth of `train` judges; `val` and `test` are not looked at.

    Args:
        dataset: as `binsight.dataset.scan` gives it.
        config: its sections data, backbone, preprocess, heads and tuning count.
        out: the folder for table and pictures.
        work: the work folder; that of a training may be shared.
        resume: go on with the study in it.
        overwrite: throw away what is in it.
        means: see `Means`.
    """
    began = time.monotonic()
    chosen = choose_backbone(config)
    run = Run.begin(dataset, config, Work.open(work, resume=resume, overwrite=overwrite), chosen, **means)
    source = run.frozen_source(chosen)
    with study_faults(run.study_url):
        search_inner(run, source)
        study = open_study(study_name(run, source), run.study_url, prune=config.tuning.prune)
        trials, best, importance = trial_records(study), best_trial(study), measure_importance(study)
    run.reporter.stage("Drawing")
    files = [_write_table(out / "trials.csv", trials), _write_best(out / "best.toml", best)]
    files += [_write_figure(out / f"{name}.png", figure) for name, figure in _figures(trials, importance).items()]
    return TuneResult(study.study_name, trials, best, importance, time.monotonic() - began, tuple(files))


def _figures(trials: tuple[TrialRecord, ...], importance: Mapping[str, float]) -> dict[str, Figure]:
    from binsight.pipeline.tuning_plots import draw_choice, draw_curve, draw_importance  # noqa: PLC0415 - matplotlib

    drawn = {
        "learning_rate": draw_curve(trials, "learning_rate", by="inner_size", log=True),
        "inner_size": draw_choice(trials, "inner_size"),
        "dropout": draw_curve(trials, "dropout", by="inner_size"),
    }
    return drawn | ({"importance": draw_importance(importance)} if importance else {})


def _write_figure(path: Path, figure: Figure) -> Path:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    write_whole(path, stream.getvalue())
    return path


def _write_table(path: Path, trials: tuple[TrialRecord, ...]) -> Path:
    rows = [trial.to_dict() for trial in trials]
    write_whole(path, csv_text([list(rows[0]), *([row[name] for name in rows[0]] for row in rows)]))
    return path


def _write_best(path: Path, best: TrialRecord) -> Path:
    """A file for `binsight train --config`: one trial, that of the best settings."""
    import tomli_w  # noqa: PLC0415 - only writing needs it

    rate, dropout = best.params["learning_rate"], best.params["dropout"]
    tuning = {
        "trials": 1,
        "learning_rate": [rate, rate],
        "inner_sizes": [best.params["inner_size"]],
        "dropout": [dropout, dropout],
    }
    write_whole(path, tomli_w.dumps({"heads": {"kind": "inner"}, "tuning": tuning}).encode())
    return path
