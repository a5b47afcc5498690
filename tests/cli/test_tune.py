"""`binsight tune`."""

from __future__ import annotations

import json

import pytest
from tests.pipeline.tiny import SIZE, make_photos, make_small

FLAGS = ("--backbone-size", str(SIZE), "--val", "0.25", "--trials", "3", "--tuning-epochs", "2", "-q")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photos of three colours, and a backbone that sees them."""
    make_small(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return make_photos(tmp_path / "photos")


def test_a_table_and_pictures(binsight, photos, tmp_path):
    """The best trial on top, and where everything was written; the settings can be trained with."""
    run = binsight("tune", photos, *FLAGS)
    assert run.code == 0, run.err
    assert "3 trials" in run.out
    assert "written: tuning/best.toml" in run.out
    assert (tmp_path / "tuning" / "learning_rate.png").is_file()
    args = ("--backbone-size", str(SIZE), "--val", "0.25", "--no-report", "-q")
    trained = binsight(
        "train", photos, "--out", "mine", "--preset", "fast", "--config", "tuning/best.toml", "--json", *args
    )
    assert json.loads(trained.out)["training"]["selection"]["kind"] == "inner"


def test_json_and_resume(binsight, photos):
    """More trials of the same study."""
    first = json.loads(binsight("tune", photos, "--json", *FLAGS).out)
    again = json.loads(binsight("tune", photos, "--json", "--resume", *FLAGS, "--trials", "5").out)
    assert again["study"] == first["study"]
    assert len(again["trials"]) == 5
    assert again["trials"][:3] == first["trials"]
    assert set(first["best"]) >= {"accuracy", "learning_rate", "inner_size", "dropout", "epoch"}


def test_settings_of_other_stages_are_no_flags(binsight, photos):
    """Nothing is fine-tuned here."""
    run = binsight("tune", photos, "--epochs", "3")
    assert run.code == 2
    assert "No such option" in run.err


def test_a_database_that_is_not_there(binsight, photos):
    """One line, without a password."""
    run = binsight("tune", photos, *FLAGS, "--study-storage", "postgresql://me:secret@nowhere/db")
    assert run.code == 2
    assert run.err.splitlines()[-1].startswith("binsight: cannot use the study's database postgresql://me@nowhere/db: ")
    assert "secret" not in run.err
