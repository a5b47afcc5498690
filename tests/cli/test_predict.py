"""`binsight predict`: what a person and a program get to see."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import Run, RunBinsight, run_on_terminal, run_process, save_photo
from tests.predictor.test_precision import half_as_sure
from tests.tiny_bundle import OUTPUTS, tiny_bundle, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.cli.predict import _judged
from binsight.cli.results import Result
from binsight.errors import ImageError
from binsight.predictor import Precision, Prediction, Predictor, StreamCheck
from binsight.probability import Decision, ReviewThresholds

KEYS = [
    *("source", "predicted_category", "biodegradability", "confidence_scores", "confidence"),
    *("biodegradable_probability", "decision", "reason", "stream", "advice", "model", "timing_ms"),
]


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """Return a red photo."""
    return save_photo(tmp_path / "red.png", (255, 0, 0))


def rows_of(run: Run) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    return list(csv.DictReader(io.StringIO(run.out)))


class TestJson:
    def test_object_has_the_keys_of_the_design(self, binsight: RunBinsight, red: Path) -> None:
        """A photo gives one object with the design's keys in its order, `source` first."""
        run = binsight("predict", red, "--json")
        [answer] = run.objects()
        assert list(answer) == KEYS
        assert answer["source"] == str(red)
        assert answer["predicted_category"] == "red"
        assert answer["biodegradability"] == "non_biodegradable"
        assert answer["confidence_scores"] == {"red": 0.96466316, "green": 0.01766842, "blue": 0.01766842}
        assert answer["confidence"] == 0.96466316
        assert answer["biodegradable_probability"] == 0.01798621
        assert (answer["decision"], answer["reason"]) == ("accept", None)
        assert (answer["stream"], answer["advice"]) == ("recycling", "Rinse it.")
        assert answer["model"] == {"name": "tiny", "version": "1.0.0", "precision": "float"}
        assert answer["timing_ms"].keys() == {"decode", "infer"}
        assert (run.code, run.err) == (0, "")

    def test_folder_gives_one_object_per_photo_in_order(self, binsight: RunBinsight, photos: Path) -> None:
        """A folder gives one object for each photo at any depth, hidden ones left out, sorted by path."""
        run = binsight("predict", photos, "--json")
        assert [(answer["source"], answer["predicted_category"]) for answer in run.objects()] == [
            (f"{photos}/a_red.png", "red"),
            (f"{photos}/b_green.BMP", "green"),
            (f"{photos}/sub/deep/c_blue.webp", "blue"),
        ]
        assert run.code == 0

    def test_failing_photo_is_an_object_in_its_place(self, binsight: RunBinsight, photos: Path, broken: Path) -> None:
        """A photo that cannot be read gives its source and error; the others are done; the exit code is 2."""
        run = binsight("predict", photos, "--json")
        answers = run.objects()
        assert [Path(answer["source"]).name for answer in answers] == [
            *("a_red.png", "b_cut.png", "b_green.BMP", "c_blue.webp")
        ]
        assert list(answers[1]) == ["source", "error"]
        assert answers[1]["error"].keys() == {"code", "message"}
        assert answers[1]["error"]["code"] == "truncated"
        assert run.code == 2
        assert [line.rsplit("/")[-1] for line in run.err.splitlines()] == [
            *(".hidden passed over: hidden", ".x.png passed over: hidden", "notes.txt passed over: not a photo")
        ]

    @pytest.mark.parametrize(
        ("name", "content", "code", "words"),
        [
            ("nothing.jpg", None, "unreadable", "no such file or folder"),
            ("empty.jpg", b"", "empty", "0 bytes"),
            ("page.jpg", b"<!DOCTYPE html><html>", "not_an_image", "a web page"),
            ("huge.png", b"\x89PNG\r\n\x1a\n" + bytes(21_000_000), "too_large", "at most 20,000,000 bytes"),
        ],
    )
    def test_error_says_what_is_wrong(
        self, binsight: RunBinsight, tmp_path: Path, name: str, content: bytes | None, code: str, words: str
    ) -> None:
        """Each way in which a file is no photo has its code, and words that help."""
        if content is not None:
            (tmp_path / name).write_bytes(content)
        run = binsight("predict", tmp_path / name, "--json")
        [answer] = run.objects()
        assert answer["error"]["code"] == code
        assert words in answer["error"]["message"]
        assert run.code == 2

    def test_top_lists_the_most_probable(self, binsight: RunBinsight, red: Path) -> None:
        """`--top` adds that many categories, most probable first, no more than there are."""
        for count, expected in ((1, ["red"]), (2, ["red", "green"]), (9, ["red", "green", "blue"])):
            [answer] = binsight("predict", red, "--json", "--top", str(count)).objects()
            assert [entry["category"] for entry in answer["top"]] == expected
            assert answer["top"][0] == {"category": "red", "confidence": 0.96466316}

    def test_reason_is_given(self, binsight: RunBinsight, red: Path, tmp_path: Path) -> None:
        """A photo for review says why; the exit code is still 0."""
        manifest = tiny_manifest(review=ReviewThresholds((0.99,) * 3))
        run = binsight("predict", red, "--json", "--model", tiny_bundle(tmp_path / "strict", manifest=manifest))
        [answer] = run.objects()
        assert (answer["decision"], answer["reason"]) == ("review", "low_confidence")
        assert run.code == 0

    def test_open_taxonomy(self, binsight: RunBinsight, red: Path, tmp_path: Path) -> None:
        """A model that knows nothing of biodegradability says so, with the same keys."""
        model = tiny_model(outputs=[name for name in OUTPUTS if name != "biodegradable_logit"])
        path = tiny_bundle(tmp_path / "open.zip", model, tiny_manifest(tiny_taxonomy(is_open=True)))
        [answer] = binsight("predict", red, "--json", "--model", path).objects()
        assert list(answer) == KEYS
        assert answer["biodegradability"] == "unknown"
        assert answer["biodegradable_probability"] is None

    def test_broken_model_output_is_an_error(self, binsight: RunBinsight, red: Path, tmp_path: Path) -> None:
        """A network that computes NaN gives an error object and exit code 2, never NaN in JSON."""
        model = tiny_model()
        head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
        head.raw_data = np.full((3, 3), np.nan, np.float32).tobytes()
        run = binsight("predict", red, "--json", "--model", tiny_bundle(tmp_path / "nan", model))
        [answer] = run.objects()
        assert answer["error"]["code"] == "bundle"
        assert "NaN" not in run.out
        assert run.code == 2


class TestCsv:
    def test_header_and_rows(self, binsight: RunBinsight, photos: Path, broken: Path) -> None:
        """CSV has a header, and one row for each photo, in order, errors included."""
        run = binsight("predict", photos, "--csv")
        assert run.lines()[0] == (
            "source,predicted_category,biodegradability,confidence,biodegradable_probability,decision,reason,stream,"
            "score_red,score_green,score_blue,error_code,error_message"
        )
        rows = rows_of(run)
        assert [row["predicted_category"] for row in rows] == ["red", "", "green", "blue"]
        assert rows[0]["score_red"] == rows[0]["confidence"] == "0.96466316"
        assert rows[0]["reason"] == rows[0]["error_code"] == ""
        assert rows[1]["error_code"] == "truncated"
        assert run.code == 2

    def test_top_adds_columns(self, binsight: RunBinsight, red: Path) -> None:
        """`--top` adds two columns for each rank, no more than there are classes."""
        [row] = rows_of(binsight("predict", red, "--csv", "--top", "9"))
        assert [name for name in row if name.startswith("top")] == [
            *("top1_category", "top1_confidence", "top2_category", "top2_confidence"),
            *("top3_category", "top3_confidence"),
        ]
        assert (row["top1_category"], row["top3_category"]) == ("red", "blue")

    def test_awkward_names_survive(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """A comma, a quote and a line break in a file's name come back from the CSV as they are."""
        path = save_photo(tmp_path / 'a,"b"\nc.png', (255, 0, 0))
        [row] = rows_of(binsight("predict", path, "--csv"))
        assert row["source"] == str(path)


class TestTable:
    def test_single_photo(self, binsight: RunBinsight, red: Path) -> None:
        """One photo gives a row with title, biodegradability, confidence bar, stream and decision, and the advice."""
        run = binsight("predict", red)
        row = next(line for line in run.lines() if "red.png" in line)
        assert [word in row for word in ("Red things", " no ", "██████████", "96.5%", "recycling", "accept")] == [
            True
        ] * 6
        assert run.lines()[-1] == "Rinse it."
        assert (run.code, run.err) == (0, "")

    def test_folder_ends_in_a_summary(self, binsight: RunBinsight, photos: Path, broken: Path) -> None:
        """Several photos end in one line that counts categories, reviews and errors."""
        run = binsight("predict", photos)
        assert run.lines()[-1].startswith("4 photos in ")
        assert run.lines()[-1].endswith("; 1 red, 1 green, 1 blue; 0 to review; 1 could not be read.")
        assert run.code == 2

    def test_error_row_has_its_reason(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """A photo that cannot be read has a row with the code and the reason."""
        run = binsight("predict", tmp_path / "nothing.jpg")
        row = next(line for line in run.lines() if "error: unreadable" in line)
        assert "nothing.jpg" in run.out
        assert "no such file or folder" in row
        assert run.lines()[-1] == "1 photo in 0.0 s; 0 to review; 1 could not be read."

    def test_photo_for_review_asks_for_a_person(self, binsight: RunBinsight, red: Path, tmp_path: Path) -> None:
        """A photo for review shows why, and asks for a person instead of giving advice."""
        manifest = tiny_manifest(review=ReviewThresholds((0.99,) * 3))
        run = binsight("predict", red, "--model", tiny_bundle(tmp_path / "strict", manifest=manifest))
        assert "review (not sure)" in run.out
        assert run.lines()[-1] == "Not sure enough (not sure): have a person look at it."

    def test_top_lists_more_rows(self, binsight: RunBinsight, red: Path) -> None:
        """`--top` adds a row for each further category."""
        assert "Green things" not in binsight("predict", red).out
        more = binsight("predict", red, "--top", "2").out
        assert "Green things" in more
        assert "Blue things" not in more

    @pytest.mark.parametrize("name", ["[bold]x.png", ":apple:.png", "[[x]].png", "a\\.png", "[red]", "x[", "\\"])
    def test_name_is_shown_as_it_is(self, binsight: RunBinsight, tmp_path: Path, name: str) -> None:
        """A file's name is neither read as a style nor as an emoji."""
        save_photo(tmp_path / "x.png", (255, 0, 0)).rename(tmp_path / name)
        assert name in binsight("predict", tmp_path / name).out.replace("\n", "")

    def test_name_cannot_steer_the_terminal(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """Control characters in a file's name are shown as escapes."""
        run = binsight("predict", save_photo(tmp_path / "x\x1b[2J\ny.png", (255, 0, 0)))
        assert "\x1b" not in run.out
        assert r"x\x1b[2J\ny.png" in run.out


class TestSources:
    def test_photo_from_standard_input(self, binsight: RunBinsight, red: Path) -> None:
        """`-` reads one photo from standard input, and calls it `-`."""
        [answer] = binsight("predict", "-", "--json", stdin=red.read_bytes()).objects()
        assert (answer["source"], answer["predicted_category"]) == ("-", "red")

    def test_nothing_on_standard_input(self, binsight: RunBinsight) -> None:
        """Standard input without a byte is an empty photo."""
        run = binsight("predict", "-", "--json")
        assert run.objects()[0]["error"]["code"] == "empty"
        assert run.code == 2

    def test_too_much_on_standard_input(self, binsight: RunBinsight) -> None:
        """Standard input is read no further than the limit."""
        run = binsight("predict", "-", "--json", "--max-mb", "0.001", stdin=b"\xff\xd8\xff" + bytes(5000))
        assert run.objects()[0]["error"]["code"] == "too_large"

    def test_closed_standard_input(self, shared_bundle: Path) -> None:
        """Standard input that a parent process closed is an error with the way out."""
        run = run_process("predict", "-", "--json", "--model", shared_bundle, closing="<&-")
        [answer] = [json.loads(line) for line in run.stdout.splitlines()]
        assert answer["error"]["code"] == "unreadable"
        assert "binsight predict - < can.jpg" in answer["error"]["message"]
        assert (run.returncode, run.stderr) == (2, "")

    def test_pattern(self, binsight: RunBinsight, photos: Path) -> None:
        """A pattern in quotes is expanded."""
        run = binsight("predict", f"{photos}/**/*.[pw]*", "--json")
        assert [Path(answer["source"]).name for answer in run.objects()] == ["a_red.png", "c_blue.webp"]

    def test_arguments_keep_their_order(self, binsight: RunBinsight, photos: Path, red: Path) -> None:
        """Folders, files and what is missing give their rows in the order of the arguments."""
        run = binsight("predict", photos / "sub", "nothing.jpg", "-", red, red, "--json", stdin=red.read_bytes())
        assert [Path(answer["source"]).name for answer in run.objects()] == [
            *("c_blue.webp", "nothing.jpg", "-", "red.png", "red.png")
        ]

    def test_folder_without_photos(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """A folder without photos is an error row that says what was looked for, and exit code 2."""
        (tmp_path / "empty").mkdir()
        run = binsight("predict", tmp_path / "empty", "--json")
        assert "no photos in this folder; looked for .avif, .bmp" in run.objects()[0]["error"]["message"]
        assert run.code == 2

    def test_name_that_is_not_unicode(self, tmp_path: Path, shared_bundle: Path) -> None:
        """A file whose name is not UTF-8 is classified; CSV has its bytes, JSON and the table have escapes."""
        path = os.fsencode(tmp_path) + b"/caf\xe9.png"
        save_photo(tmp_path / "x.png", (255, 0, 0)).rename(os.fsdecode(path))
        for form, name in (("--json", "caf\\udce9.png"), ("--csv", "caf\udce9.png"), ("--quiet", "caf\\udce9.png")):
            run = run_process("predict", path, form, "--model", shared_bundle, errors="surrogateescape")
            assert (run.returncode, run.stderr) == (0, "")
            assert name in run.stdout

    @pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
    def test_old_encoding(self, red: Path, shared_bundle: Path, encoding: str) -> None:
        """Where the encoding lacks our signs, plainer ones are written; names come out of a pipe as they are."""
        photo = red.rename(red.with_name("垃圾 é.png"))
        environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
        for form in ("--quiet", "--csv"):
            run = run_process("predict", photo, form, "--model", shared_bundle, env=environment, encoding="utf-8")
            assert (run.returncode, run.stderr) == (0, "")
            assert str(photo) in run.stdout
            assert run.stdout.replace(photo.name, "").isascii()

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
    @pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"\u5783\u573e \xe9"), ("utf-8", "垃圾 é")])
    def test_terminal_that_knows_few_characters(
        self, red: Path, shared_bundle: Path, encoding: str, shown: str
    ) -> None:
        """On a terminal, letters that its encoding lacks are escapes; on a narrow one nothing is cut."""
        red.rename(red.with_name("垃圾 é.png"))
        environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding, "COLUMNS": "30", "TERM": "dumb"}
        shows = run_on_terminal("predict", "垃圾 é.png", "--model", str(shared_bundle), env=environment, cwd=red.parent)
        text = "".join(line.split("  ")[0].strip() for line in shows.decode(encoding).splitlines()[2:-1])
        assert shown.replace(" ", "") in text.replace(" ", "")
        assert "…" not in shows.decode(encoding)

    def test_long_name_is_one_line_in_a_pipe(self, binsight: RunBinsight, red: Path) -> None:
        """However long a name, its row of the table is one line."""
        photo = red.rename(red.with_name(f"{'long name ' * 20}.png"))
        assert str(photo) in binsight("predict", photo).out

    def test_address(self, binsight: RunBinsight) -> None:
        """An address is refused with what to type instead."""
        run = binsight("predict", "https://example.org/a b.jpg?x=[1]", "--json")
        assert run.code == 2
        message = run.objects()[0]["error"]["message"]
        assert message.endswith("curl -sL 'https://example.org/a b.jpg?x=[1]' | binsight predict -")

    def test_no_photo_at_all_is_wrong_use(self, binsight: RunBinsight) -> None:
        """Without any photo the usage is shown."""
        run = binsight("predict")
        assert run.code == 2
        assert "Usage: binsight predict" in run.err
        assert run.out == ""


class TestHeatmap:
    def test_picture_is_written_for_each_photo(
        self, binsight: RunBinsight, photos: Path, broken: Path, tmp_path: Path
    ) -> None:
        """Each photo that could be read has a PNG of its size below DIR, in the folder's structure."""
        seen = tmp_path / "seen"
        answers = binsight("predict", photos, "--heatmap", seen, "--json").objects()
        assert [answer.get("heatmap") for answer in answers] == [
            *(f"{seen}/a_red.png", None, f"{seen}/b_green.png", f"{seen}/sub/deep/c_blue.png")
        ]
        with Image.open(seen / "sub" / "deep" / "c_blue.png") as picture:
            assert (picture.format, picture.size, picture.mode) == ("PNG", (40, 30), "RGB")
        assert len([path for path in seen.rglob("*") if path.is_file()]) == 3

    def test_same_prediction_as_without(self, binsight: RunBinsight, red: Path, tmp_path: Path) -> None:
        """Drawing the heat map does not change the prediction, nor does the table show it differently."""
        [with_map] = binsight("predict", red, "--json", "--heatmap", tmp_path / "seen").objects()
        [without] = binsight("predict", red, "--json").objects()
        assert with_map["confidence_scores"] == without["confidence_scores"]

    def test_same_names_get_numbers(self, binsight: RunBinsight, tmp_path: Path) -> None:
        """Photos of one name from several folders get pictures of their own, whatever the case of their letters."""
        paths = [
            save_photo(tmp_path / "one" / "can.png", (255, 0, 0)),
            save_photo(tmp_path / "two" / "can.bmp", (0, 255, 0)),
            save_photo(tmp_path / "three" / "CAN.png", (0, 0, 255)),
        ]
        seen = tmp_path / "seen"
        answers = binsight("predict", *paths, "--json", "--heatmap", seen).objects()
        assert [answer["heatmap"] for answer in answers] == [
            f"{seen}/can.png",
            f"{seen}/can-2.png",
            f"{seen}/CAN-3.png",
        ]
        assert len(list(seen.iterdir())) == 3

    def test_photo_given_twice_has_one_picture(self, binsight: RunBinsight, red: Path, tmp_path: Path) -> None:
        """A photo given twice has one picture, under its plain name."""
        answers = binsight("predict", red, red, "--json", "--heatmap", tmp_path / "seen").objects()
        assert [answer["heatmap"] for answer in answers] == [f"{tmp_path}/seen/red.png"] * 2
        assert (tmp_path / "seen" / "red.png").is_file()

    @pytest.mark.parametrize("folder", ["photos", "photos/../photos", "./photos/"])
    def test_photos_are_never_overwritten(
        self, binsight: RunBinsight, photos: Path, monkeypatch: pytest.MonkeyPatch, folder: str
    ) -> None:
        """Heat maps written among the photos take other names than the photos."""
        monkeypatch.chdir(photos.parent)
        before = (photos / "a_red.png").read_bytes()
        answers = binsight("predict", "photos", "--json", "--heatmap", folder).objects()
        assert (photos / "a_red.png").read_bytes() == before
        assert Path(answers[0]["heatmap"]).name == "a_red-2.png"

    def test_standard_input_is_called_stdin(self, binsight: RunBinsight, red: Path, tmp_path: Path) -> None:
        """The picture of the photo from standard input has a name."""
        binsight("predict", "-", "--heatmap", tmp_path / "seen", stdin=red.read_bytes())
        assert [path.name for path in (tmp_path / "seen").iterdir()] == ["stdin.png"]

    def test_place_that_cannot_be_written_is_an_error_row(
        self, binsight: RunBinsight, photos: Path, tmp_path: Path
    ) -> None:
        """A picture that cannot be written is the error of its photo; the others are done; the exit code is 2."""
        (tmp_path / "seen").mkdir()
        (tmp_path / "seen" / "sub").touch()
        run = binsight("predict", photos, "--json", "--heatmap", tmp_path / "seen")
        answers = run.objects()
        assert ["error" in answer for answer in answers] == [False, False, True]
        assert answers[2]["error"]["code"] == "unwritable"
        assert run.code == 2

    def test_folder_that_is_a_file_is_wrong_use(self, binsight: RunBinsight, red: Path) -> None:
        """A DIR that is a file is refused before any work."""
        run = binsight("predict", red, "--heatmap", red)
        assert run.code == 2
        assert "is a file" in run.err

    @pytest.mark.parametrize("argument", [".", "nothing.png", "..", "-"])
    def test_what_is_no_photo_needs_no_name(
        self, binsight: RunBinsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str
    ) -> None:
        """Arguments that give no photo are errors with heat maps as they are without."""
        (tmp_path / "above" / "empty").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "above" / "empty")
        run = binsight("predict", argument, "--json", "--heatmap", "seen")
        assert "error" in run.objects()[0]
        assert run.code == 2


class TestOptions:
    def test_model_by_option_goes_before_the_environment(
        self, binsight: RunBinsight, red: Path, tmp_path: Path, zipped: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The model is that of `--model`, else that of `BINSIGHT_MODEL`."""
        other = tiny_bundle(tmp_path / "other", manifest=tiny_manifest(name="other"))
        monkeypatch.setenv("BINSIGHT_MODEL", str(other))
        assert binsight("predict", red, "--json").objects()[0]["model"]["name"] == "other"
        assert binsight("predict", red, "--json", "--model", zipped).objects()[0]["model"]["name"] == "tiny"

    @pytest.mark.parametrize("model", ["nothing", "../nothing.zip", "a" * 300])
    def test_missing_model_is_one_line(self, binsight: RunBinsight, red: Path, model: str) -> None:
        """A model that is not there ends the command with one line that names it."""
        run = binsight("predict", red, "--model", model)
        assert run.code == 2
        assert run.out == ""
        assert run.err.startswith(f"binsight: no model bundle at '{model}'")
        assert run.err.count("\n") == 1

    def test_altered_model_is_one_line(self, binsight: RunBinsight, red: Path, bundle: Path) -> None:
        """A model with an altered network ends the command with one line that names the file."""
        (bundle / "model.onnx").write_bytes(b"x")
        run = binsight("predict", red, "--model", bundle)
        assert run.code == 2
        assert run.err.startswith("binsight: model.onnx: expected ")
        assert run.err.count("\n") == 1

    def test_photo_in_place_of_a_model_is_explained(self, binsight: RunBinsight, red: Path) -> None:
        """A photo given as the model is refused with what was expected and which path was meant."""
        run = binsight("predict", red, "--model", red)
        assert run.err == f"binsight: {red}: expected a folder or a zip file (File is not a zip file)\n"

    @pytest.mark.parametrize(
        ("photo_count", "threads", "per_session"), [(1, "4", 4), (1, "1", 1), (2, "4", 2), (3, "4", 1), (3, "1", 1)]
    )
    def test_cores_are_shared_out(
        self,
        binsight: RunBinsight,
        red: Path,
        monkeypatch: pytest.MonkeyPatch,
        photo_count: int,
        threads: str,
        per_session: int,
    ) -> None:
        """One photo gets all cores, several get one core each or what is left."""
        asked: list[object] = []
        load = Predictor.load

        def spy(model: str, *, threads: int, precision: Precision) -> Predictor:
            asked.append(threads)
            return load(model, threads=threads, precision=precision)

        monkeypatch.setattr(Predictor, "load", spy)
        run = binsight("predict", *[red] * photo_count, "--json", "--workers", threads)
        assert asked == [per_session]
        assert [answer["predicted_category"] for answer in run.objects()] == ["red"] * photo_count

    @pytest.mark.parametrize(
        ("option", "value", "code"),
        [
            ("--max-mb", "0.00005", "too_large"),
            ("--max-mb", "0.01", None),
            ("--max-megapixels", "0.0011", "too_large"),
            ("--max-megapixels", "0.0012", None),  # 40 x 30 pixels
            ("--max-megapixels", "1e-9", "too_large"),
        ],
    )
    def test_limits_are_kept(self, binsight: RunBinsight, red: Path, option: str, value: str, code: str | None) -> None:
        """A photo above a limit is an error; one just below is not."""
        [answer] = binsight("predict", red, "--json", option, value).objects()
        assert answer.get("error", {}).get("code") == code

    @pytest.mark.parametrize(
        "arguments",
        [
            *(("--max-mb", value) for value in ("nan", "inf", "-1", "0", "x", "1e300")),
            *(("--max-megapixels", value) for value in ("nan", "-inf", "")),
            *(("--top", value) for value in ("0", "-1", "x", "1.5")),
            *(("--workers", value) for value in ("0", "-1", "all")),
            *(("--jsn",), ("--heatmap",)),
        ],
    )
    def test_wrong_value_is_wrong_use(self, binsight: RunBinsight, red: Path, arguments: tuple[str, ...]) -> None:
        """A value that makes no sense is refused by the option's name, before any work."""
        run = binsight("predict", red, *arguments)
        assert run.code == 2
        assert run.out == ""
        assert arguments[0] in run.err
        assert "Traceback" not in run.err


class TestProgress:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        """Return a folder of 25 photos."""
        for i in range(25):
            save_photo(tmp_path / "many" / f"{i}.png", (i, 0, 0))
        return tmp_path / "many"

    def test_bar_counts_to_the_end(self, binsight: RunBinsight, many: Path) -> None:
        """A person at a terminal sees a bar that ends at 25 of 25."""
        run = binsight("predict", many, terminals=["err"])
        assert "Classifying" in run.err
        assert "25/25" in run.err

    @pytest.mark.parametrize("form", ["--json", "--csv"])
    def test_bar_and_results_go_separate_ways(self, binsight: RunBinsight, many: Path, form: str) -> None:
        """With a bar on the terminal, a file that standard output is sent to gets all results, and nothing else."""
        run = binsight("predict", many, form, terminals=["err"])
        assert "25/25" in run.err
        assert ".png" not in run.err
        assert len(run.objects() if form == "--json" else rows_of(run)) == 25

    @pytest.mark.parametrize("form", ["--json", "--csv"])
    def test_rows_on_the_terminal_need_no_bar(self, binsight: RunBinsight, many: Path, form: str) -> None:
        """A person who sees the rows come has no bar between them."""
        assert binsight("predict", many, form, terminals=["out", "err"]).err == ""

    def test_table_on_the_terminal_has_a_bar(self, binsight: RunBinsight, many: Path) -> None:
        """A person who waits for a table sees the bar meanwhile, and colours in the table."""
        run = binsight("predict", many, terminals=["out", "err"])
        assert "25/25" in run.err
        assert "\x1b[32maccept" in run.out

    @pytest.mark.parametrize("option", ["-q", "--quiet"])
    def test_quiet_shows_none(self, binsight: RunBinsight, many: Path, option: str) -> None:
        """`--quiet` shows no bar."""
        assert binsight("predict", many, option, terminals=["err"]).err == ""

    def test_few_photos_need_none(self, binsight: RunBinsight, red: Path) -> None:
        """Photos that are done before a bar could be read have none."""
        assert binsight("predict", red, terminals=["err"]).err == ""

    def test_pipe_gets_none(self, binsight: RunBinsight, many: Path) -> None:
        """No bar is written where no terminal is."""
        assert binsight("predict", many).err == ""


class TestProcess:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        """Return a folder of more photos than a pipe holds rows."""
        data = save_photo(tmp_path / "x.png", (255, 0, 0)).read_bytes()
        (tmp_path / "many").mkdir()
        for i in range(400):
            (tmp_path / "many" / f"{i}.png").write_bytes(data)
        return tmp_path / "many"

    @pytest.mark.parametrize("form", ["--json", "--quiet"])
    def test_closed_pipe_ends_quietly(self, many: Path, shared_bundle: Path, form: str) -> None:
        """When the reader has seen enough, as `head` has, the command ends without a word."""
        command = [sys.executable, "-m", "binsight", "predict", str(many), form, "--model", str(shared_bundle)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() != b""
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(timeout=60) in {0, 1}

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    @pytest.mark.parametrize("form", ["--json", "--csv", "--quiet"])
    def test_full_disk_is_one_line(self, red: Path, shared_bundle: Path, form: str) -> None:
        """When the output cannot be written, one line says so, and the exit code is 2."""
        command = [sys.executable, "-m", "binsight", "predict", str(red), form, "--model", str(shared_bundle)]
        with Path("/dev/full").open("wb") as full:
            run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True, timeout=60)
        assert run.stderr == "binsight: cannot write the output: No space left on device\n"
        assert run.returncode == 2

    def test_closed_output_is_no_crash(self, red: Path, shared_bundle: Path) -> None:
        """A parent process that closed standard output gets the exit code all the same."""
        run = run_process("predict", red, "--model", shared_bundle, closing=">&-")
        assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("familiar", "strange", "accepted"), [(10, 40, 0), (30, 70, 0), (150, 120, 150), (50, 20, 70)])
def test_the_first_results_wait_for_the_camera_to_be_known(familiar: int, strange: int, accepted: int) -> None:
    """Of a camera that is found strange among the first 100 none is accepted; later, none from then on."""
    photo = Prediction("red", {"red": 1.0}, "unknown", None, Decision("accept"), "", "", "tiny", "1", unfamiliarity=0.2)
    limits = ReviewThresholds(confidence=(0.0,) * 3, unfamiliarity=1.0)
    check = StreamCheck(tiny_manifest(review=limits, training={"unfamiliarity_median": 0.2}))
    photos = [photo] * familiar + [replace(photo, unfamiliarity=0.9)] * strange
    results = [Result(str(i), outcome) for i, outcome in enumerate([*photos, ImageError("it is broken")])]
    seen: list[int] = []
    judged = list(_judged(results, check, 100, seen.append))
    assert [result.source for result in judged] == [result.source for result in results]
    assert len(seen) == len(results)
    decisions = [r.outcome.decision for r in judged if isinstance(r.outcome, Prediction)]
    assert decisions[:accepted] == ["accept"] * accepted
    assert decisions[-1] == ("accept" if accepted == familiar + strange else "review")
    assert accepted > 0 or set(decisions) == {"review"}


def test_the_precision_that_ran_is_named(binsight: RunBinsight, red: Path, shared_bundle: Path, tmp_path: Path) -> None:
    """`predict` in its JSON, `model show` with the times; a bundle without integers is refused in one line."""
    both = half_as_sure(tmp_path / "both")
    run = binsight("predict", red, "--json", "--model", both, "--precision", "int8")
    assert run.objects()[0]["model"] == {"name": "tiny", "version": "1.0.0", "precision": "int8"}
    refused = binsight("predict", red, "--model", shared_bundle, "--precision", "int8")
    assert (refused.code, refused.out) == (2, "")
    assert "tiny 1.0.0 has no model.int8.onnx; `binsight export" in refused.err
    assert "model.int8.onnx needs" in binsight("model", "show", both).out
