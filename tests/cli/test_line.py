"""`binsight line`: check, simulate, and a look at one's own video."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from binsight.line.recorder import recording
from binsight.line.simulate.plan import PlannedPiece
from binsight.line.simulate.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"red": (220, 40, 30), "green": (30, 210, 40), "blue": (40, 50, 230)}


def card(colour: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a card of one colour with some grain."""
    grain = np.random.default_rng(0).integers(-25, 25, (60, 60, 1))
    return np.clip(grain + np.array(colour), 0, 255).astype(np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with one card in a folder of each class."""
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(card(colour)).save(tmp_path / "photos" / name / "card.png")
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of six cards that move to the left, faster than any default."""
    rng = np.random.default_rng(0)
    pieces = [PlannedPiece(i, i % 3, 1200.0 + 200 * i, 0.5, 0, mirrored=False) for i in range(6)]
    scene = Scene([card(colour) for colour in COLOURS.values()], pieces, size=(240, 320), rng=rng)
    path = tmp_path_factory.mktemp("video") / "belt.mp4"
    with recording(path) as out:
        for frame in range(round(25 * 2800 / 800)):
            out.add(Image.fromarray(scene.render(800 * frame / 25)[:, ::-1]), frame / 25)
    return path


def settings(path: Path, bundle: Path, **changes: object) -> Path:
    """Write a line.toml of one lane; `changes` are keys of that lane."""
    lane = {"number": 1, "categories": ["red"], "distance_mm": 1200} | changes
    rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in lane.items())
    path.write_text(
        f'[line]\nmodel = "{bundle}"\n[[lanes]]\n{rows}\n[sorter]\nkind = "mqtt"\nurl = "mqtt://localhost"\n'
    )
    return path


def test_a_line_that_can_be_in_time_is_drawn_and_accounted_for(binsight, tmp_path, shared_bundle) -> None:
    """The belt from above, the account of each lane, exit code 0."""
    run = binsight("line", "check", settings(tmp_path / "line.toml", shared_bundle, distance_mm=12000))
    assert run.code == 0, run.out + run.err
    assert "trigger" in run.out
    assert "12000 mm" in run.out
    assert "the line can be in time" in run.out
    assert "more than 40 mm apart" in run.out  # without an encoder, at 400 mm/s and 20 frames a second


def test_a_line_that_cannot_be_in_time_is_refused_with_all_reasons(binsight, tmp_path, shared_bundle) -> None:
    """An ejector too near, and a class that the model does not know: exit code 1, and `run` refuses it."""
    path = settings(tmp_path / "line.toml", shared_bundle, distance_mm=20, categories=["red", "gren"])
    run = binsight("line", "check", path, "--json")
    assert run.code == 1
    (account,) = run.objects()
    assert any("did you mean green?" in fault for fault in account["faults"])
    assert any("move the ejector" in fault for fault in account["faults"])
    assert account["lanes"][0]["spare_ms"] < 0
    refused = binsight("line", "run", settings(path, shared_bundle, distance_mm=20))
    assert refused.code == 2
    assert "could not be in time" in refused.err


def test_all_faults_of_the_file_come_at_once(binsight, tmp_path) -> None:
    """One line, each with its place, exit code 2."""
    path = tmp_path / "line.toml"
    path.write_text("[camera]\nfield_mm = -1\n[belt]\nspeed_mms = 3\n")
    run = binsight("line", "check", path)
    assert run.code == 2
    assert "camera.field_mm" in run.err
    assert "did you mean speed_mm_s?" in run.err
    assert len(run.err.splitlines()) == 1


def test_a_simulation_counts_every_piece_and_writes_its_picture(binsight, tmp_path, photos, shared_bundle) -> None:
    """JSON on standard output, a picture, a page with all pieces."""
    run = binsight(
        "line", "simulate", "--pieces", "9", "--rate", "8", "--photos", photos, "--model", shared_bundle, "--json",
        "--picture", tmp_path / "belt.png", "--html", tmp_path / "belt.html",
    )  # fmt: skip
    assert run.code == 0, run.err
    (result,) = run.objects()
    assert (result["counted_once"], result["faults"]) == (9, [])
    assert result["accepted_right"] == result["accepted"] == 9
    with Image.open(tmp_path / "belt.png") as picture:
        assert picture.size == (640, 480)
    page = (tmp_path / "belt.html").read_text()
    assert page.count("<li>") == 9
    assert "data:image/jpeg;base64," in page


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "[[faults]]\nkind = 'rain'\nat_s = -1\nfoo = 1\n",
            ["there is no 'foo'", "kind: expected one of", "at_s: expected"],
        ),
        ("faults = 3", ["expected [[faults]] tables"]),
        ("[[", ["not valid TOML"]),
        ("faults = [1]", ["expected"]),
    ],
)
def test_a_script_that_is_none_is_refused(binsight, tmp_path, script: str, words: list[str]) -> None:
    """All that is wrong with it, in one line."""
    (tmp_path / "faults.toml").write_text(script)
    run = binsight("line", "simulate", "--script", tmp_path / "faults.toml")
    assert run.code == 2
    assert all(word in run.err for word in words), run.err
    assert len(run.err.splitlines()) == 1


def test_without_photos_it_says_where_they_are(binsight, tmp_path, monkeypatch, shared_bundle) -> None:
    """The demo's photos are in the repository, not in the package."""
    monkeypatch.chdir(tmp_path)
    run = binsight("line", "simulate", "--model", shared_bundle)
    assert run.code == 2
    assert "--photos DIR" in run.err


@pytest.mark.parametrize("suffix", ["mp4", "html", ""])
def test_ones_own_video_in_one_command(binsight, tmp_path, monkeypatch, video, shared_bundle, suffix: str) -> None:
    """Direction and speed are measured; each piece is seen once; a video or a page comes out; nothing else is left."""
    monkeypatch.chdir(tmp_path)
    out = tmp_path / f"seen.{suffix}"
    more = ["--out", out] if suffix else []
    run = binsight("line", "run", "--source", video, "--model", shared_bundle, "--json", *more)
    assert run.code == 0, run.err
    assert [piece["category"] for piece in run.objects()] == ["red", "green", "blue", "red", "green", "blue"]
    assert [piece["seq"] for piece in run.objects()] == [1, 2, 3, 4, 5, 6]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ([out.name] if suffix else [])
    if suffix == "html":
        assert out.read_text().count("<li>") == 6
    if suffix == "mp4":
        with av.open(str(video)) as before, av.open(str(out)) as after:
            frames = [frame.to_ndarray(format="rgb24") for frame in after.decode(video=0)]
            assert len(frames) == sum(1 for _ in before.decode(video=0))
        assert frames[0].shape == (240, 320, 3)
        # The colour of a box and a label around what stays on the belt.
        orange = [int((np.abs(frame.astype(int) - (213, 94, 0)).max(axis=2) < 30).sum()) for frame in frames]
        assert max(orange) > 500
        assert orange[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "nothing.mp4"], "no such file"),
        (["--source", "{video}", "--out", "seen.gif"], "expected --out with"),
        (["--source", "{video}", "--out", "seen"], "expected --out with"),
        ([], "expected a LINE.TOML, or --source"),
    ],
)
def test_a_run_that_cannot_be_says_why(binsight, tmp_path, monkeypatch, video, shared_bundle, arguments, words) -> None:
    """One line, exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    given = [str(video) if word == "{video}" else word for word in arguments]
    run = binsight("line", "run", "--model", shared_bundle, *given)
    assert run.code == 2
    assert words in run.err
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


@pytest.mark.parametrize("arguments", [["--ledger", "foo"], ["--ledger", "mysql://x"], ["--picture", "belt.gif"]])
def test_a_simulation_that_cannot_be_kept_says_so_before_the_work(binsight, photos, shared_bundle, arguments) -> None:
    """One line, exit code 2."""
    run = binsight("line", "simulate", "--photos", photos, "--model", shared_bundle, *arguments)
    assert run.code == 2
    assert run.err.startswith("binsight: expected ")
    assert len(run.err.splitlines()) == 1


def test_a_truncated_video_is_looked_at_as_far_as_it_goes(binsight, tmp_path, video, shared_bundle) -> None:
    """A file that breaks off is no traceback."""
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:3000])
    run = binsight("line", "run", "--source", cut, "--model", shared_bundle)
    assert run.code == 2
    assert len([line for line in run.err.splitlines() if line.startswith("binsight: ")]) == 1
