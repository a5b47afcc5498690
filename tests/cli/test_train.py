"""`binsight train`."""

from __future__ import annotations

import json
import shutil
import tomllib

import pytest
from tests.pipeline.tiny import FAST, SIZE, make_photos, make_small

from binsight.pipeline.presets import PRESETS


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photos of three colours, and a backbone that sees them."""
    make_small(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return make_photos(tmp_path / "photos")


def _flags(**changes):
    flags = {**FAST, **changes}
    words = [(f"--no-{k}",) if v == "no" else (f"--{k}", v) for k, v in flags.items()]
    return [word for pair in words for word in pair]


def test_one_command_takes_photos_to_a_model_that_predicts(binsight, photos):
    """The bundle is named last; what it predicts is what it was shown."""
    run = binsight("train", photos, "--out", "mine", *_flags())
    assert run.code == 0, run.err
    assert run.lines()[-1] == "bundle: mine"
    assert "taxonomy: mine.taxonomy.toml" in run.out
    assert "biodegradable left open" in run.err
    assert any("accuracy" in line for line in run.lines())
    found = binsight("predict", photos / "red" / "0.png", "--model", "mine", "--json").objects()[0]
    assert found["predicted_category"] == "red"
    assert found["biodegradability"] == "unknown"
    assert json.loads(binsight("model", "show", "mine", "--json").out)["training"]["config"]["preset"] == "fast"


def test_json(binsight, photos):
    """One document; what a person reads goes to standard error."""
    run = binsight("train", photos, "--out", "mine.zip", "--json", "-q", *_flags())
    found = json.loads(run.out)
    assert found["bundle"] == "mine.zip"
    assert found["metrics"]["val"]["photos"] == 15
    assert found["training"]["config"]["backbone"]["size"] == SIZE
    assert found["report"] is None


def test_leakage_exits_with_1(binsight, photos, tmp_path):
    """In one line; allowed, it is in the bundle."""
    divided = tmp_path / "divided"
    for i, split in enumerate(("train", "val")):
        make_photos(divided, each=5, split=split, start=100 * i)
    shutil.copy(divided / "train" / "red" / "0.png", divided / "val" / "red" / "leak.png")
    run = binsight("train", divided, "--out", "mine", "-q", *_flags())
    assert run.code == 1
    assert len(run.err.splitlines()) == 1 or run.err.splitlines()[-1].startswith("binsight: 1 photos have copies")
    assert "Traceback" not in run.err
    assert not (tmp_path / "mine").exists()
    run = binsight("train", divided, "--out", "mine", "-q", "--resume", "--allow-leakage", "--json", *_flags())
    training = json.loads(run.out)["training"]
    assert (training["leakage"], training["allow_leakage"]) == (1, True)
    assert "too good" in (tmp_path / "mine" / "card.md").read_text()


def test_dry_run_prints_a_configuration_and_trains_nothing(binsight, photos, tmp_path):
    """What it prints is a file for --config; plan and network are comments in it."""
    run = binsight("train", photos, "--dry-run", *_flags(seed="5"))
    assert run.code == 0, run.err
    assert tomllib.loads(run.out)["seed"] == 5
    assert "# 60 photos" in run.out
    assert "logits" in run.out
    assert not list(tmp_path.glob("*.work"))
    (tmp_path / "again.toml").write_text(run.out)
    again = binsight("train", photos, "--dry-run", "--config", "again.toml")
    assert again.out == run.out
    described = json.loads(binsight("train", photos, "--dry-run", "--json", *_flags()).out)
    assert described["config"]["preset"] == "fast"


def test_wrong_settings_are_one_line_and_exit_code_2(binsight, photos, tmp_path):
    """All of them, from file and flags."""
    (tmp_path / "bad.toml").write_text("[data]\nvall = 1\n")
    run = binsight("train", photos, "--out", "mine", "--config", "bad.toml", "--trials", "x", "--preset", "quick")
    assert run.code == 2
    (line,) = run.err.splitlines()
    for text in (
        "no setting data.vall; did you mean val?",
        "--trials: expected a whole number",
        "--preset: expected one of",
    ):
        assert text in line


def test_an_earlier_run_is_not_lost(binsight, photos):
    """The second command says how to go on; with --resume it does."""
    assert binsight("train", photos, "--out", "mine", "-q", *_flags()).code == 0
    again = binsight("train", photos, "--out", "other", "--work", "mine.work", "-q", *_flags())
    assert again.code == 2
    assert "--resume" in again.err
    assert binsight("train", photos, "--out", "other", "--work", "mine.work", "--resume", "-q", *_flags()).code == 0


def test_where_to_is_needed(binsight, photos):
    """Before anything is read."""
    run = binsight("train", photos)
    assert run.code == 2
    assert "--out BUNDLE" in run.err


def test_help_shows_the_usual_settings_and_help_all_every_one(binsight):
    """With their defaults in each preset."""
    usual, every = binsight("train", "--help").out, binsight("train", "--help-all").out
    assert "--preset" in usual
    assert "--augment-blur-radius" not in usual
    assert "--augment-blur-radius" in every
    assert "original: xception" in " ".join(usual.split())
    assert all(name in usual for name in PRESETS)
    assert "Examples:" in usual


def test_a_terminal_sees_bars_and_lines(binsight, photos):
    """Nothing of it reaches standard output."""
    run = binsight("train", photos, "--out", "mine", *_flags(), terminals=["err"])
    assert run.code == 0
    assert "biodegradable left open" in run.err.replace("\n", " ")
    assert "Reading photos" not in run.out
