"""Searches for the settings of heads on cached features: stored, so that a search can go on, or be shared.

A study lives in a database, by default an SQLite file; several processes, also on several machines, may work on one.
Every trial has a turn of its own, counted from 0 in the order in which trials begin, and draws by the seed and its
turn: so parallel workers try different settings. A trial that was broken off leaves its turn to one that is tried
anew: so a search that was interrupted goes on as it would have without.

References:
    Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (tree-structured Parzen estimator).
    Golovin et al. 2017, Google Vizier, section 3.1 (median stopping rule).
"""

from __future__ import annotations

import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from binsight.errors import InputError
from binsight.extras import needs_extra
from binsight.progress import Progress, unheard
from binsight.settings import setting
from binsight.training.heads.small_fit import FeatureSet, FitEpoch, fit_small_network
from binsight.training.heads.small_network import SmallNetworkSettings

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = [
    "SearchSpace",
    "TrialRecord",
    "best_trial",
    "measure_importance",
    "open_study",
    "search_small_network",
    "study_faults",
    "trial_records",
]

_STARTUP_TRIALS: Final = 5  # before anything is stopped early
_WARMUP_EPOCHS: Final = 3  # of each trial, likewise
_BEST_EPOCH: Final = "epoch"
_TURN: Final = "turn"  # kept with trials that repeat one that was broken off
_HEARTBEAT_S: Final = 20  # of a trial in a shared study; one whose process has been silent for three of them is dead
_ATTEMPTS: Final = 5  # to make the tables of an empty database, where others do so too


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What is tried."""

    learning_rate: tuple[float, float] = setting(
        (1e-5, 1e-1), "Smallest and largest rate, tried by ratio.", low=1e-9, pair=True
    )
    inner_sizes: tuple[int, ...] = setting((0, 10, 100, 500), "Units of the inner layer to try; 0 is none.", low=0)
    dropout: tuple[float, float] = setting((0.0, 0.8), "Smallest and largest dropout.", low=0.0, high=0.95, pair=True)


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One finished trial.

    Attributes:
        number: in the order of the study.
        value: the accuracy it reached; of a pruned one, so far.
        params: what was tried.
        pruned: whether it was stopped early.
        epoch: the epoch that reached `value`, counted from 1; None where there are none.
    """

    number: int
    value: float
    params: Mapping[str, Any]
    pruned: bool
    epoch: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "number": self.number,
            "accuracy": self.value,
            **self.params,
            "pruned": self.pruned,
            "epoch": self.epoch,
        }


def open_study(name: str, storage: str, *, prune: bool = True, alone: bool = False) -> optuna.Study:
    """The study of that name, made when it is new; it looks for the largest value.

    Args:
        name: unique in the database.
        storage: a database URL, such as `sqlite:///study.sqlite`.
        prune: stop a trial that is below the median of the others at the same step.
        alone: no other process is at work on it, so a trial that is under way is one of a process that was killed: it
            will be tried anew.

    Raises:
        InputError: the database cannot be opened.
        MissingExtraError: it is a PostgreSQL, and there is no driver for it.
    """
    import optuna  # noqa: PLC0415 - takes most of a second

    if storage.startswith("postgresql:"):
        with needs_extra("a study in PostgreSQL", "line-postgres"):
            import psycopg  # noqa: F401, PLC0415 - the driver
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    stopper: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if prune:
        stopper = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=_WARMUP_EPOCHS)
    with study_faults(storage, ImportError, ValueError):  # no driver for it, no database URL
        database = _open_database(storage, alone=alone)
        _hurry_sqlite(database.engine)
        study = optuna.create_study(
            study_name=name, storage=database, direction="maximize", pruner=stopper, load_if_exists=True
        )
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)) if alone else ():
            _repeat(study, trial)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
        return study


def _open_database(url: str, *, alone: bool, attempts: int = _ATTEMPTS) -> optuna.storages.RDBStorage:
    import optuna  # noqa: PLC0415 - loaded already
    from sqlalchemy.exc import IntegrityError, ProgrammingError  # noqa: PLC0415 - comes with optuna

    beat = None if alone else _HEARTBEAT_S
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of heartbeats
            return optuna.storages.RDBStorage(
                url, heartbeat_interval=beat, grace_period=beat and 3 * beat, heartbeat_stale_trial_callback=_repeat
            )
    except (IntegrityError, ProgrammingError):  # another worker makes the tables at this moment
        if attempts == 1:
            raise
        return _open_database(url, alone=alone, attempts=attempts - 1)


@contextmanager
def study_faults(storage: str, *others: type[Exception]) -> Iterator[None]:
    """What a locked, damaged or full database makes its libraries raise in the block becomes one error.

    Args:
        storage: the database's URL.
        others: further errors that count as the database's.

    Raises:
        InputError: saying what to do. The finished trials in the database stay.
    """
    from optuna.exceptions import StorageInternalError  # noqa: PLC0415 - takes most of a second
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - comes with optuna

    faults: tuple[type[Exception], ...] = (StorageInternalError, SQLAlchemyError, sqlite3.Error, *others)
    try:
        yield
    except faults as error:
        # The libraries wrap one another; the innermost says what is wrong.
        cause: BaseException = error
        while isinstance(inner := getattr(cause, "orig", None) or cause.__cause__, Exception):
            cause = inner
        reason = str(cause).splitlines()[0]
        raise InputError(
            f"cannot use the study's database {_without_password(storage)}: {reason}; go on with --resume once that is "
            "mended, or begin a new study with --study-storage, or with --overwrite"
        ) from error


def trial_records(study: optuna.Study) -> tuple[TrialRecord, ...]:
    """The finished trials, pruned ones included, in the order of the study."""
    records = []
    for trial in study.get_trials(deepcopy=False, states=_finished_states()):
        value = trial.value if trial.value is not None else max(trial.intermediate_values.values(), default=0.0)
        pruned = trial.state.name == "PRUNED"
        records.append(TrialRecord(trial.number, value, trial.params, pruned, trial.user_attrs.get(_BEST_EPOCH)))
    return tuple(records)


def search_small_network(
    study: optuna.Study,
    train: FeatureSet,
    judge: FeatureSet,
    *,
    classes: int,
    space: SearchSpace,
    base: SmallNetworkSettings,
    trials: int,
    timeout_s: float | None = None,
    progress: Progress = unheard,
) -> TrialRecord:
    """Look for the learning rate, the inner size and the dropout with the best accuracy.

    Args:
        study: from `open_study`; trials that it has already count.
        train: photos to learn from.
        judge: photos to judge by.
        classes: C.
        space: what is tried.
        base: everything that is not; its seed is that of the search.
        trials: how many in all.
        timeout_s: begin no new one after so many seconds.
        progress: called as trials are finished.

    Returns:
        The best trial.
    """

    def score(trial: optuna.Trial) -> float:
        settings = _suggest(trial, space, base)

        def report(record: FitEpoch) -> None:
            trial.report(record.val_accuracy, record.epoch)
            if trial.should_prune():
                raise _pruned()

        fitted = fit_small_network(train, judge, classes=classes, settings=settings, on_epoch_end=report)
        trial.set_user_attr(_BEST_EPOCH, fitted.best.epoch)
        return fitted.best.val_accuracy

    _run(study, score, seed=base.seed, trials=trials, timeout_s=timeout_s, progress=progress)
    return best_trial(study)


def measure_importance(study: optuna.Study) -> dict[str, float]:
    """How much of the value's variance each setting explains, the largest first; empty where too little was tried.

    References:
        Hutter et al. 2014, An Efficient Approach for Assessing Hyperparameter Importance (functional ANOVA).
    """
    import optuna  # noqa: PLC0415 - loaded already

    complete = [record for record in trial_records(study) if not record.pruned]
    if len(complete) < _STARTUP_TRIALS or len({record.value for record in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items()}


def best_trial(study: optuna.Study) -> TrialRecord:
    """The complete trial with the highest value; of equal ones the first."""
    complete = [record for record in trial_records(study) if not record.pruned]
    return max(complete, key=lambda record: record.value)


def _run(
    study: optuna.Study,
    score: Callable[[optuna.Trial], float],
    *,
    seed: int,
    trials: int,
    timeout_s: float | None,
    progress: Progress,
) -> None:
    import optuna  # noqa: PLC0415 - loaded already

    ours: list[optuna.Trial] = []  # the one under way

    def objective(trial: optuna.Trial) -> float:
        ours[:] = [trial]
        # Trials that others have under way count as bad ones: nobody else need look there.
        study.sampler = optuna.samplers.TPESampler(seed=seed + _turn_of(study, trial), constant_liar=True)
        try:
            return score(trial)
        except optuna.TrialPruned:
            raise
        except (Exception, KeyboardInterrupt):
            if not _is_finished(study, trial):
                _repeat(study, trial)
                ours.clear()
            raise

    end = None if timeout_s is None else time.monotonic() + timeout_s
    while (done := len(study.get_trials(deepcopy=False, states=_finished_states()))) < trials:
        progress(done, trials)
        if done and end is not None and time.monotonic() >= end:
            break
        try:
            study.optimize(objective, n_trials=1)
        except (RuntimeError, ValueError):
            if not (ours and _is_finished(study, ours[0])):
                raise
            # Else this process was stopped for so long that another took it for dead, and the trial's turn over.
    progress(trials, trials)


def _is_finished(study: optuna.Study, trial: optuna.Trial) -> bool:
    return study.get_trials(deepcopy=False)[trial.number].state.is_finished()


def _turn_of(study: optuna.Study, trial: optuna.Trial | FrozenTrial) -> int:
    """How many trials began before; of one that repeats another, the turn of that."""
    kept: int | None = trial.user_attrs.get(_TURN)
    before = study.get_trials(deepcopy=False)[: trial.number]
    return sum(_TURN not in other.user_attrs for other in before) if kept is None else kept


def _repeat(study: optuna.Study, trial: optuna.Trial | FrozenTrial) -> None:
    """Let the next trial take the turn of one that has failed."""
    study.enqueue_trial({}, user_attrs={_TURN: _turn_of(study, trial)})


def _suggest(trial: optuna.Trial, space: SearchSpace, base: SmallNetworkSettings) -> SmallNetworkSettings:
    return replace(
        base,
        learning_rate=trial.suggest_float("learning_rate", *space.learning_rate, log=True),
        inner_size=trial.suggest_categorical("inner_size", list(space.inner_sizes)),
        dropout=trial.suggest_float("dropout", *space.dropout),
    )


def _finished_states() -> tuple[Any, ...]:
    from optuna.trial import TrialState  # noqa: PLC0415 - loaded already

    return (TrialState.COMPLETE, TrialState.PRUNED)


def _pruned() -> Exception:
    from optuna import TrialPruned  # noqa: PLC0415 - loaded already

    return TrialPruned()


def _hurry_sqlite(engine: Any) -> None:
    """Spare a local file the wait for the disk at each of hundreds of small writes.

    With a write-ahead log, a killed process loses nothing; a power cut may lose the last trials, and never the file.
    """
    from sqlalchemy import event  # noqa: PLC0415 - comes with optuna

    if engine.dialect.name != "sqlite":
        return

    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    event.listen(engine, "connect", prepare)
    engine.dispose()  # what is open already was not prepared


def _without_password(url: str) -> str:
    """A database URL as it may be shown."""
    scheme, separator, rest = url.partition("://")
    account, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{account.partition(':')[0] + at if at else ''}{host}"
