"""Many photos on several threads, results in the order of the photos."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from binsight.errors import BinsightError
from binsight.imaging import ImageLimits
from binsight.predictor import Prediction, Predictor, predict_files, run_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 20  # reached only when a test fails


def living_workers() -> list[str]:
    """Return the names of its worker threads that still run; a server of other tests may have some of its own."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("binsight_")]


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 200])
def test_results_come_in_order(workers: int, count: int) -> None:
    """However many items and threads, each item has its result, in its place."""
    assert list(run_in_order(lambda i: i * i, range(count), workers=workers)) == [i * i for i in range(count)]
    assert living_workers() == []


def test_slow_item_keeps_its_place() -> None:
    """The first item, which ends only after the others have, is still first."""
    others_done = threading.Semaphore(0)

    def function(i: int) -> int:
        if i == 0:
            assert all(others_done.acquire(timeout=TIMEOUT_S) for _ in range(9))
        else:
            others_done.release()
        return i

    assert list(run_in_order(function, range(10), workers=2)) == list(range(10))


def test_workers_work_at_the_same_time() -> None:
    """With four workers, four items are in work at once."""
    together = threading.Barrier(4, timeout=TIMEOUT_S)
    assert sorted(run_in_order(lambda i: together.wait() * 0 + i, range(8), workers=4)) == list(range(8))


def test_one_worker_is_the_caller() -> None:
    """With one worker everything happens in the calling thread, one item after another, as results are taken."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(5):
            taken.append(i)
            yield i

    results = run_in_order(lambda i: (i, threading.current_thread()), items(), workers=1)
    assert next(results) == (0, threading.current_thread())
    assert taken == [0]


def test_endless_items_are_not_taken_far_ahead() -> None:
    """Of an endless supply no more than 16 items per worker are taken ahead of the result that is next."""
    taken = itertools.count()
    results = run_in_order(lambda i: i, taken, workers=3)
    for expected in range(100):
        assert next(results) == expected
        ahead = int(repr(taken)[len("count(") : -1]) - expected
        assert ahead <= 16 * 3
    results.close()
    assert living_workers() == []


def test_exception_comes_in_the_place_of_its_result() -> None:
    """An exception is raised where its item's result would be, after all results before it; then nothing follows."""

    def function(i: int) -> int:
        if i == 3:
            raise LookupError("three")
        return i

    results = run_in_order(function, range(50), workers=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError, match="three"):
        next(results)
    assert list(results) == []
    assert living_workers() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_exception_of_the_items_is_raised(workers: int) -> None:
    """When the supply of items fails, so does the iteration, and no thread is left behind."""

    def items() -> Iterator[int]:
        yield 0
        raise OSError("the camera is gone")

    with pytest.raises(OSError, match="the camera is gone"):
        list(run_in_order(lambda i: i, items(), workers=workers))
    assert living_workers() == []


def test_early_end_stops_the_work() -> None:
    """Closing the results cancels what has not begun, and waits for what has."""
    begun: list[int] = []
    others_may_end, second_has_begun = threading.Event(), threading.Event()

    def function(i: int) -> int:
        begun.append(i)
        if i == 0:
            assert second_has_begun.wait(TIMEOUT_S)
        else:
            second_has_begun.set()
            assert others_may_end.wait(TIMEOUT_S)
        return i

    results = run_in_order(function, itertools.count(), workers=2)
    assert next(results) == 0
    threading.Timer(0, others_may_end.set).start()
    results.close()
    # Two workers, and what each picked up before the rest was cancelled.
    assert len(begun) <= 2 * 16 + 1
    assert living_workers() == []


def test_a_result_is_given_as_soon_as_it_is_there() -> None:
    """A slow supply, such as a camera, does not hold back what is done already."""
    taken: list[int] = []
    first_is_done = threading.Event()

    def items() -> Iterator[int]:
        for i in itertools.count():
            if i == 1:
                assert first_is_done.wait(TIMEOUT_S)
            taken.append(i)
            yield i

    def function(i: int) -> int:
        first_is_done.set()
        return i

    results = run_in_order(function, items(), workers=2)
    assert next(results) == 0
    results.close()
    assert len(taken) <= 2 * 16


class TestFiles:
    @pytest.fixture
    def predictor(self, shared_bundle: Path) -> Predictor:
        """Return the tiny bundle's predictor, on one thread."""
        return Predictor.load(shared_bundle, threads=1)

    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        """Return photos of red, green and blue, with failing ones in between."""
        for name, colour in (("r.png", (255, 0, 0)), ("g.png", (0, 255, 0)), ("b.png", (0, 0, 255))):
            Image.new("RGB", (20, 20), colour).save(tmp_path / name)
        (tmp_path / "cut.png").write_bytes((tmp_path / "r.png").read_bytes()[:50])
        (tmp_path / "notes.txt").write_text("not a photo")
        (tmp_path / "empty.jpg").touch()
        return [tmp_path / n for n in ("r.png", "cut.png", "g.png", "nothing.png", "notes.txt", "empty.jpg", "b.png")]

    @pytest.mark.parametrize("workers", [1, 2, 7])
    def test_failing_photos_do_not_stop_the_others(self, predictor: Predictor, paths: list[Path], workers: int) -> None:
        """Each photo has its prediction or its own error, in order."""
        results = [
            result.category if isinstance(result, Prediction) else result.code
            for result in predict_files(predictor, paths, workers=workers)
        ]
        assert results == ["red", "truncated", "green", "unreadable", "not_an_image", "empty", "blue"]

    def test_limits_are_kept(self, predictor: Predictor, paths: list[Path]) -> None:
        """The caller's limits hold."""
        [result] = predict_files(predictor, paths[:1], workers=2, limits=ImageLimits(max_pixels=399))
        assert isinstance(result, BinsightError)
        assert result.code == "too_large"

    def test_endless_paths(self, predictor: Predictor, paths: list[Path]) -> None:
        """Photos may come without end, as from a camera's folder."""
        results = predict_files(predictor, itertools.cycle([str(paths[0]), paths[2]]), workers=2)
        assert [r.category for r in itertools.islice(results, 5) if isinstance(r, Prediction)] == [
            *("red", "green", "red", "green", "red")
        ]
        results.close()  # type: ignore[attr-defined]

    @pytest.mark.parametrize("batch", [2, 4, 100])
    def test_batches_change_no_result(self, predictor: Predictor, paths: list[Path], batch: int) -> None:
        """Whatever the size of a batch, each photo has its own prediction or error, in order."""
        single, together = (list(predict_files(predictor, paths, workers=2, batch=size)) for size in (1, batch))
        assert [type(result) for result in together] == [type(result) for result in single]
        for one, other in zip(single, together, strict=True):
            if isinstance(one, Prediction) and isinstance(other, Prediction):
                assert one.category == other.category
                assert list(one.scores.values()) == pytest.approx(list(other.scores.values()), abs=1e-4)
