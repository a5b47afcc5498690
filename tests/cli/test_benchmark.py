"""`binsight benchmark`: a table, or JSON, of what was measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.export.tiny_network import save_photos

from binsight.export import speed
from binsight.export.speed import Speed, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Subject], list[bytes]]]:
    """Return a record of what was to be measured; the second of two is twice as fast and half as large."""
    calls: list[tuple[list[Subject], list[bytes]]] = []

    def measure(subjects: Sequence[Subject], photos: Sequence[bytes], *, progress: Callable[[], None]) -> list[Speed]:
        calls.append((list(subjects), list(photos)))
        progress()
        return [
            Speed(
                model="tiny 1.0.0",
                engine=subject.engine,
                threads=subject.threads,
                photos=len(photos),
                file_bytes=8_000_000 // position,
                load_ms=12.0,
                decode_p50_ms=1.5,
                decode_p95_ms=2.5,
                engine_p50_ms=8.0 / position,
                engine_p95_ms=9.0 / position,
                photos_per_s=100.0 * position,
                peak_memory_bytes=64_000_000 if position == 1 else None,
            )
            for position, subject in enumerate(subjects, start=1)
        ]

    monkeypatch.setattr(speed, "measure_speeds", measure)
    return calls


def test_table_with_ratios(
    binsight: RunBinsight, shared_bundle: Path, measured: list[tuple[list[Subject], list[bytes]]]
) -> None:
    """One row for each number of threads; ratios are to the first."""
    run = binsight("benchmark", shared_bundle, "--workers", "1,2", "--limit", "3")
    assert (run.code, run.err) == (0, "")
    assert [(s.engine, s.threads) for s in measured[0][0]] == [("onnx", 1), ("onnx", 2)]
    first, second = (line.split() for line in run.lines() if "tiny 1.0.0" in line)
    assert first[2:] == ["onnx", "1", "1.5", "2.5", "8.0", "9.0", "1.00", "100", "1.00", "12", "8.0", "1.00", "64"]
    assert second[2:] == ["onnx", "2", "1.5", "2.5", "4.0", "4.5", "0.50", "200", "2.00", "12", "4.0", "0.50", "?"]
    assert run.lines()[-1] == "3 times a made-up picture; memory is that of the whole process."


def test_json(binsight: RunBinsight, shared_bundle: Path, measured: object) -> None:
    """An array of objects."""
    run = binsight("benchmark", shared_bundle, shared_bundle, "--json", "--limit", "1")
    assert [entry["engine_p50_ms"] for entry in json.loads(run.out)] == [8.0, 4.0]


def test_photos_are_spread(
    binsight: RunBinsight,
    shared_bundle: Path,
    tmp_path: Path,
    measured: list[tuple[list[Subject], list[bytes]]],
) -> None:
    """Of more photos than the limit every so-and-so-manyth is used."""
    folder = save_photos(tmp_path / "photos", 7)
    run = binsight("benchmark", shared_bundle, "--photos", folder, "--limit", "3")
    assert measured[0][1] == [(folder / f"{position:03}.png").read_bytes() for position in (0, 3, 6)]
    assert run.lines()[-1].startswith("3 photos; ")


@pytest.mark.parametrize("threads", ["0", "1,,2", "x", ""])
def test_threads_that_are_no_numbers(binsight: RunBinsight, shared_bundle: Path, threads: str) -> None:
    """A list of whole numbers from 1 is expected."""
    run = binsight("benchmark", shared_bundle, "--workers", threads)
    assert run.code == 2
    assert "is not a list of whole numbers from 1" in run.err


def test_engine_that_the_bundle_has_not(binsight: RunBinsight, shared_bundle: Path) -> None:
    """The error says how a bundle gets the file."""
    run = binsight("benchmark", shared_bundle, "--engine", "litert")
    assert run.code == 2
    assert run.err == (
        f"binsight: {shared_bundle} has no model.tflite; make a copy that has, with: "
        f"binsight export {shared_bundle} --format litert --into-bundle --out COPY\n"
    )


def test_photos_that_are_not_there(binsight: RunBinsight, shared_bundle: Path, tmp_path: Path) -> None:
    """A missing folder is named."""
    run = binsight("benchmark", shared_bundle, "--photos", tmp_path / "none")
    assert (run.code, run.err) == (2, f"binsight: {tmp_path / 'none'}: no such file or folder\n")


def test_for_real(binsight: RunBinsight, shared_bundle: Path) -> None:
    """Nothing faked: the tiny bundle is measured on the made-up picture."""
    run = binsight("benchmark", shared_bundle, "--json", "--limit", "2")
    (entry,) = json.loads(run.out)
    assert (run.code, entry["model"], entry["photos"]) == (0, "tiny 1.0.0", 2)
    assert entry["engine_p50_ms"] > 0
