"""Which of a bundle's two networks runs, and that it says so."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import numpy_helper
from tests.tiny_bundle import SIZE, tiny_bundle, tiny_model

from binsight.bundle import load_bundle
from binsight.errors import InputError
from binsight.predictor import Predictor, choose_precision, precision, time_in_turn, time_in_turns
from binsight.serving.models import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

    from binsight.bundle import Bundle


def half_as_sure(path: Path) -> Path:
    """Write a bundle with a second network that is half as sure."""
    model = tiny_model()
    (head,) = (constant for constant in model.graph.initializer if constant.name == "head")
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) / 2, "head"))
    return tiny_bundle(path, model__int8__onnx=model.SerializeToString())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle with two networks."""
    return load_bundle(half_as_sure(tmp_path_factory.mktemp("both") / "both"))


@pytest.mark.parametrize(("milliseconds", "runs"), [(9.4, "int8"), (9.6, "float"), (20, "float")])
def test_auto_takes_integers_where_they_save_time(both: Bundle, monkeypatch, milliseconds: float, runs: str) -> None:
    """At least a twentieth of it."""
    monkeypatch.setattr(precision, "time_in_turns", lambda _: {"float": 10.0, "int8": milliseconds})
    assert choose_precision(both, "auto") == (runs, {"float": 10.0, "int8": milliseconds})


def test_nothing_is_measured_where_there_is_no_choice(both: Bundle, shared_bundle: Path, monkeypatch) -> None:
    """A bundle without integers, or a precision that was asked for."""
    monkeypatch.setattr(precision, "time_in_turns", lambda _: pytest.fail("measured"))
    assert choose_precision(load_bundle(shared_bundle), "auto") == ("float", {})
    assert [choose_precision(both, wanted)[0] for wanted in ("float", "int8")] == ["float", "int8"]
    with pytest.raises(InputError, match=r"tiny 1.0.0 has no model.int8.onnx; `binsight export .*--to onnx-int8"):
        choose_precision(load_bundle(shared_bundle), "int8")


def test_each_is_timed(both: Bundle) -> None:
    """In milliseconds."""
    times = time_in_turns({name: Predictor(both, threads=1, precision=name) for name in ("float", "int8")})
    assert times.keys() == {"float", "int8"}
    assert min(times.values()) > 0


def test_the_other_network_runs_and_is_named(both: Bundle) -> None:
    """Half the logits, and the precision in the answer."""
    picture = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    picture[..., 0] = 255
    sure, unsure = (
        Predictor(both, threads=1, precision=name).predict_prepared(picture)[0] for name in ("float", "int8")
    )
    assert (sure.category, unsure.category) == ("red", "red")
    assert (sure.confidence > 0.96, unsure.confidence < 0.8) == (True, True)
    assert (sure.to_dict()["model"]["precision"], unsure.to_dict()["model"]["precision"]) == ("float", "int8")


def test_a_server_runs_what_it_is_told(both: Bundle) -> None:
    """Both of its predictors do."""
    for name in ("float", "int8"):
        store = ModelStore([str(both.path)], threads=2, precision=name)
        store.load_all()
        assert (store.get().narrow.precision, store.get().wide.precision) == (name, name)


def test_runs_take_turns_and_the_median_counts(monkeypatch):
    """With a clock that ticks once a look, every run takes a second, and no run follows itself."""
    clock = itertools.count()
    monkeypatch.setattr(precision.time, "perf_counter", lambda: float(next(clock)))
    order: list[str] = []
    times = time_in_turn([lambda: order.append("a"), lambda: order.append("b")])
    assert times == [1000, 1000]
    assert order == ["a", "b"] * 35
