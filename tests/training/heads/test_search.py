"""Searches for settings: stored, resumable, shared."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import optuna
import pytest
from sqlalchemy.exc import IntegrityError

from binsight.errors import InputError
from binsight.training.heads import search as tuning
from binsight.training.heads.search import (
    SearchSpace,
    measure_importance,
    open_study,
    search_small_network,
    study_faults,
    trial_records,
)
from binsight.training.heads.small_fit import FeatureSet
from binsight.training.heads.small_network import SmallNetworkSettings

SPACE = SearchSpace(learning_rate=(1e-5, 1e-1), inner_sizes=(0, 4), dropout=(0.0, 0.5))
BASE = SmallNetworkSettings(epochs=4)


@pytest.fixture
def photos():
    """Photos of three classes."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 90)
    rows = (generator.normal(size=(90, 6)) + 2 * np.eye(3, 6)[labels]).astype(np.float32)
    return FeatureSet([rows], labels)


@pytest.fixture
def url(tmp_path):
    """The URL of an empty SQLite file."""
    return f"sqlite:///{(tmp_path / 'study.sqlite').as_posix()}"


def _search(study, photos, trials, **options):
    return search_small_network(study, photos, photos, classes=3, space=SPACE, base=BASE, trials=trials, **options)


def test_the_best_trial_is_given(photos, url):
    """It is the most accurate of those that were not stopped early, and says which epoch it was."""
    study = open_study("a", url)
    best = _search(study, photos, 7)
    records = trial_records(study)
    assert len(records) == 7
    assert best.value == max(r.value for r in records if not r.pruned)
    assert 1 <= best.epoch <= BASE.epochs
    assert SPACE.learning_rate[0] <= best.params["learning_rate"] <= SPACE.learning_rate[1]


def test_an_interrupted_search_goes_on_as_without(photos, url, tmp_path):
    """The trials after the interruption are those that would have come anyway."""
    whole = open_study("whole", url)
    _search(whole, photos, 9)
    _search(open_study("parts", url), photos, 4)
    again = open_study("parts", url)
    _search(again, photos, 9)
    assert [r.params for r in trial_records(again)] == [r.params for r in trial_records(whole)]


def test_a_trial_that_was_broken_off_does_not_count(photos, url, monkeypatch):
    """Ctrl-C in the third trial: the search goes on with the third."""
    study = open_study("a", url)
    fit, calls = tuning.fit_small_network, []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(tuning, "fit_small_network", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _search(study, photos, 6)
    _search(study, photos, 6)
    assert len(trial_records(study)) == 6
    assert len(calls) == 7


def test_a_trial_whose_process_was_killed_is_tried_anew(photos, url, monkeypatch):
    """Where nobody else is at work: as if it had not been killed."""
    whole = open_study("whole", url)
    _search(whole, photos, 5)

    def killed(*_args, **_options):
        raise KeyboardInterrupt

    study = open_study("parts", url, alone=True)
    _search(study, photos, 2)
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "fit_small_network", killed)
        patch.setattr(tuning, "_repeat", lambda *_: None)
        patch.setattr(optuna.Study, "optimize", lambda study, objective, **_: objective(study.ask()))
        with pytest.raises(KeyboardInterrupt):
            _search(study, photos, 3)
    again = open_study("parts", url, alone=True)
    _search(again, photos, 5)
    assert [r.params for r in trial_records(again)] == [r.params for r in trial_records(whole)]


def _silence(url):
    """Wait for the heartbeat of the trial under way, and let it be one of long ago."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        while not connection.execute("update trial_heartbeats set heartbeat = '2000-01-01'").rowcount:
            connection.rollback()
        connection.commit()
    connection.close()


def test_a_trial_of_a_silent_worker_is_taken_over(photos, url, monkeypatch):
    """In a shared study another worker tries it anew; the silent one, when it wakes up, goes on with the others."""
    whole = open_study("whole", url)
    _search(whole, photos, 5)
    fit, calls = tuning.fit_small_network, []

    def meanwhile(*args, **options):
        calls.append(1)
        if len(calls) == 1:
            _silence(url)
            _search(open_study("parts", url), photos, 4)
        return fit(*args, **{**options, "on_epoch_end": lambda _: None})

    monkeypatch.setattr(tuning, "fit_small_network", meanwhile)
    study = open_study("parts", url)
    _search(study, photos, 5)
    assert len(calls) == 6  # one of them for nothing
    tried = [tuple(r.params.values()) for r in trial_records(study)]
    assert sorted(tried) == sorted(tuple(r.params.values()) for r in trial_records(whole))


@pytest.mark.parametrize("interrupted", [False, True])
def test_parallel_workers_try_different_settings(photos, url, monkeypatch, interrupted):
    """While one is in its first trial, another does three; the first may be broken off, and begin anew."""
    fit, calls = tuning.fit_small_network, []

    def meanwhile(*args, **options):
        calls.append(1)
        if len(calls) == 1:
            _search(open_study("a", url), photos, 3)
            if interrupted:
                raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(tuning, "fit_small_network", meanwhile)
    with pytest.raises(KeyboardInterrupt) if interrupted else contextlib.nullcontext():
        _search(open_study("a", url), photos, 8)
    study = open_study("a", url)
    _search(study, photos, 8)
    tried = [tuple(r.params.values()) for r in trial_records(study)]
    assert len(set(tried)) == len(tried) == 8
    (first,) = [t.params for t in study.get_trials() if t.number == 0]
    assert tuple(first.values()) in tried


def test_bad_trials_are_stopped_early(photos, url):
    """Of many trials some are; they keep what they had reached."""
    study = open_study("a", url)
    search_small_network(study, photos, photos, classes=3, space=SPACE, base=SmallNetworkSettings(epochs=8), trials=14)
    pruned = [r for r in trial_records(study) if r.pruned]
    assert pruned
    assert all(0 <= r.value <= 1 for r in pruned)


def test_nothing_is_stopped_early_when_not_asked_for(photos, url):
    """Every trial runs to its end."""
    study = open_study("a", url, prune=False)
    _search(study, photos, 8)
    assert not any(r.pruned for r in trial_records(study))


def test_time_can_be_limited(photos, url):
    """No new trial begins afterwards; the first always does."""
    study = open_study("a", url)
    _search(study, photos, 50, timeout_s=0)
    assert len(trial_records(study)) == 1


def test_progress_counts_finished_trials(photos, url):
    """From what is there already to all."""
    told = []
    _search(open_study("a", url), photos, 2)
    _search(open_study("a", url), photos, 3, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 3), (3, 3)]


def test_importance_names_what_matters(photos, url):
    """The shares sum to 1, and the learning rate has most of it."""
    study = open_study("a", url, prune=False)
    _search(study, photos, 12)
    importance = measure_importance(study)
    assert sum(importance.values()) == pytest.approx(1)
    assert next(iter(importance)) == "learning_rate"


def test_importance_of_too_few_trials_is_not_made_up(photos, url):
    """Empty."""
    study = open_study("a", url)
    _search(study, photos, 2)
    assert measure_importance(study) == {}


@pytest.mark.parametrize(("fault", "reason"), [("locked", "locked"), ("damaged", "malformed|not a database")])
def test_a_database_that_cannot_be_used(photos, url, tmp_path, fault, reason):
    """Whatever its libraries raise in a search becomes one line that says what to do; finished trials stay."""
    with study_faults(url):
        _search(open_study("a", f"{url}?timeout=0.1"), photos, 2)
    file = tmp_path / "study.sqlite"
    with sqlite3.connect(file, isolation_level=None) as holder:
        if fault == "locked":
            holder.execute("BEGIN EXCLUSIVE")
        else:
            holder.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            data = file.read_bytes()
            file.write_bytes(data[:4096] + b"\x5a" * (len(data) - 4096))
        with pytest.raises(InputError, match=reason) as caught, study_faults(url):
            _search(open_study("a", f"{url}?timeout=0.1"), photos, 3)
    holder.close()
    assert "--resume" in str(caught.value)
    assert "\n" not in str(caught.value)
    if fault == "locked":
        assert len(trial_records(open_study("a", url))) == 2


def test_a_database_whose_tables_another_makes_at_this_moment(url, monkeypatch):
    """As several workers find it that begin on an empty PostgreSQL at once."""
    real, calls = optuna.storages.RDBStorage.__init__, []

    def meanwhile(*args, **options):
        calls.append(1)
        if len(calls) < 3:
            raise IntegrityError("create type", None, Exception("duplicate key value"))
        real(*args, **options)

    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", meanwhile)
    assert open_study("a", url).study_name == "a"


def test_a_database_that_is_not_there(tmp_path):
    """One line, and no password in it."""
    with pytest.raises(InputError, match=r"database postgresql://me@host/db: ") as caught:
        open_study("a", "postgresql://me:secret@host/db")
    assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match="unable to open"):
        open_study("a", f"sqlite:///{tmp_path}/none/study.sqlite")


def test_a_file_that_is_no_study(tmp_path):
    """A database of something else is refused, or used beside; it is never emptied."""
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("create table mine (a)")
    open_study("a", f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        assert connection.execute("select name from sqlite_master where name = 'mine'").fetchall() == [("mine",)]
