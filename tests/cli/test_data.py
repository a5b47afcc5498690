"""`binsight data`."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner
from tests.dataset.folders import photo_bytes, write_photo, write_photos
from tests.dataset.web import serve

from binsight.cli.app import root
from binsight.errors import DatasetError, InputError, OutputError, TaxonomyError
from binsight.notes import Note

COMMANDS = ["scan", "split", "clean", "explore", "fetch"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Keep the cache out of the user's folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def photos(tmp_path):
    """Return twenty photos of two classes of waste8."""
    return write_photos(tmp_path / "photos", *(f"{('Metal-Cans', 'paper_waste')[i % 2]}/{i:02}.jpg" for i in range(20)))


def run(*arguments, exit_code=0):
    """Run `binsight data` and return what it printed."""
    result = CliRunner().invoke(root, ["data", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    """Every command explains itself with examples."""
    text = run(command, "--help")
    assert "Examples:" in text
    assert f"binsight data {command}" in text


def test_group_help():
    """The group lists its commands without importing them."""
    text = run("--help")
    assert all(f"  {command} " in text for command in (*COMMANDS, "audit"))


def test_scan(photos):
    """The table has every class with its photos."""
    text = run("scan", photos)
    assert "metal_cans" in text
    assert "20 JPEG" in text
    assert "classes of waste8" in text


def test_scan_json(photos):
    """The JSON has counts, formats, errors and other files; an unreadable photo gives exit code 1."""
    (photos / "Metal-Cans/bad.jpg").write_bytes(b"")
    (photos / "notes.txt").write_text("x")
    found = json.loads(run("scan", photos, "--json", exit_code=1))
    assert found["taxonomy"] == "waste8"
    assert found["classes"]["metal_cans"] == {"unsplit": 11}
    assert found["classes"]["ewaste"] == {"unsplit": 0}
    assert found["formats"] == {"JPEG": 20}
    assert [(e["path"], e["code"]) for e in found["errors"]] == [("Metal-Cans/bad.jpg", "empty")]
    assert found["ignored"] == [{"path": "notes.txt", "reason": "not a photo"}]


def test_scan_decode(photos):
    """Damage behind a sound header is found on request."""
    path = write_photo(photos / "paper_waste/x.jpg", size=(200, 200))
    path.write_bytes(path.read_bytes()[:-3000])
    run("scan", photos)
    assert "truncated" in json.dumps(json.loads(run("scan", photos, "--decode", "--json", exit_code=1)))


def test_scan_uses_the_cache(photos, cache):
    """Facts are remembered in the user's cache folder, or in none, or elsewhere."""
    run("scan", photos, "--no-cache")
    assert not list(cache.rglob("*"))
    run("scan", photos, "--cache", cache / "mine")
    assert [p.name for p in cache.iterdir()] == ["mine"]
    run("scan", photos)
    assert (cache / "binsight/photos.sqlite").is_file()


def test_a_cache_that_is_something_else(photos, tmp_path, cache):
    """A file of the user's is refused and left alone; what lies at the default place is ours and made anew."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.txt is no cache of binsight"):
        run("scan", photos, "--cache", tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    (cache / "binsight").mkdir()
    (cache / "binsight/photos.sqlite").write_bytes(b"rubbish" * 999)
    run("scan", photos)
    assert (cache / "binsight/photos.sqlite").read_bytes().startswith(b"SQLite format 3")


def test_one_cache_for_all(photos, cache, tmp_path):
    """What a split measures is kept in the file that was asked for, and nowhere else."""
    run("split", photos, "--cache", cache / "mine", "--out", tmp_path / "s.csv")
    assert [p.name for p in cache.iterdir()] == ["mine"]


@pytest.mark.parametrize("place", ["/proc/nowhere", "file"])
def test_no_place_for_a_cache(photos, tmp_path, monkeypatch, place):
    """A cache that nobody asked for and that cannot be made does not stop the work."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
    with pytest.warns(Note, match="going on without"):
        assert json.loads(run("scan", photos, "--json"))["photos"] == 20


def test_predict_and_scan_agree(photos, tmp_path, shared_bundle):
    """Both find the same photos in a folder, and both list the same files as passed over."""
    folder = photos / "paper_waste"
    for name in ("a.jfif", "b", "c.jpg_large"):
        write_photo(folder / name)
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.jpg").write_text("x")
    os.mkfifo(folder / "pipe")
    write_photo(tmp_path / "other/d.jpg")
    (folder / "link").symlink_to(tmp_path / "other")
    scanned = json.loads(run("scan", photos, "--json"))
    done = CliRunner().invoke(root, ["predict", str(photos), "--json", "--model", str(shared_bundle)])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == scanned["photos"] == 24
    passed_over = [line.removeprefix(f"note: {photos}/") for line in done.stderr.splitlines()]
    assert passed_over == [f"{i['path']} passed over: {i['reason']}" for i in scanned["ignored"]]
    assert [line.split()[0] for line in passed_over] == [
        *("paper_waste/.hidden.jpg", "paper_waste/notes.txt", "paper_waste/pipe")
    ]


def test_unreadable_folder(photos, monkeypatch):
    """A folder that cannot be read is said, and the exit code is 1: photos may be missing."""
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("paper_waste"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = json.loads(run("scan", photos, "--json", exit_code=1))
    assert (found["photos"], found["ignored"][0]["path"]) == (10, "paper_waste")


def test_notes(photos):
    """What a person should know is said on standard error, however quiet the command is to be."""
    write_photo(photos / "metal cans/1.jpg")
    (photos / "wood").mkdir()
    done = CliRunner().invoke(root, ["data", "scan", str(photos), "-q", "--taxonomy", "none"])
    assert done.stderr.splitlines() == [
        "note: no photos in wood",
        "note: Metal-Cans, metal cans are taken for one class, Metal-Cans",
    ]


def test_taxonomies(photos, tmp_path):
    """Names are matched to a built-in taxonomy, a file, the file beside the photos, or none."""
    toml = "name='t'\n" + "".join(
        f"[[classes]]\nid='{i}'\ntitle='{i}'\nstream='x'\n" for i in ("cans", "metal_cans", "paper_waste")
    )
    (tmp_path / "own.toml").write_text(toml)
    assert json.loads(run("scan", photos, "--taxonomy", "none", "--json"))["taxonomy"] is None
    assert json.loads(run("scan", photos, "--taxonomy", tmp_path / "own.toml", "--json"))["taxonomy"] == "t"
    (photos / "taxonomy.toml").write_text(toml)
    assert json.loads(run("scan", photos, "--json"))["taxonomy"] == "t"


def test_unknown_classes(photos):
    """An unknown class is an error with a suggestion when a taxonomy is asked for, and a note when it is not."""
    write_photo(photos / "plastc_bags/1.jpg")
    with pytest.raises(TaxonomyError, match="did you mean plastic_bags"):
        run("scan", photos, "--taxonomy", "waste8")
    result = CliRunner().invoke(root, ["data", "scan", str(photos)])
    assert result.exit_code == 0
    assert "did you mean plastic_bags" in result.stderr


def test_split(photos, tmp_path):
    """The manifest has every photo in a split; the same command gives the same manifest."""
    text = run("split", photos, "--val", "0.2", "--test", "0.1", "--out", tmp_path / "a.csv")
    assert f"written: {tmp_path}/a.csv" in text
    run("split", photos, "--val", "0.2", "--test", "0.1", "--out", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert sorted(row["split"] for row in rows) == ["test"] * 2 + ["train"] * 14 + ["val"] * 4


def test_split_json(photos, tmp_path):
    """The JSON says what each split got, and which photos got none."""
    (photos / "Metal-Cans/bad.jpg").write_bytes(b"")
    (photos / "Metal-Cans/copy.jpg").write_bytes((photos / "Metal-Cans/00.jpg").read_bytes())
    found = json.loads(run("split", photos, "--duplicates", "exact", "--out", tmp_path / "s.jsonl", "--json"))
    assert sum(found["photos"].values()) == 21
    assert [e["path"] for e in found["left_out"]] == ["Metal-Cans/bad.jpg"]
    assert (found["groups"], found["photos_in_groups"]) == (1, 2)
    assert {s["class"] for s in found["shares"]} == {"metal_cans", "paper_waste"}


def test_split_materialized(photos, tmp_path):
    """Folders are made of copies or links."""
    run("split", photos, "--materialize", "link", "--folders", tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 20
    with pytest.raises(OutputError, match="--overwrite"):
        run("split", photos, "--materialize", "copy", "--folders", tmp_path / "out")
    run("split", photos, "--materialize", "copy", "--folders", tmp_path / "out", "--overwrite")


def test_split_twice(photos, tmp_path):
    """What is split already is split anew only when that is asked for."""
    run("split", photos, "--out", tmp_path / "a.csv")
    with pytest.raises(DatasetError, match="pass --resplit"):
        run("split", tmp_path / "a.csv", "--out", tmp_path / "b.csv")
    run("split", tmp_path / "a.csv", "--resplit", "--seed", "1", "--out", tmp_path / "b.csv")


@pytest.mark.parametrize(
    "arguments", [[], ["--materialize", "copy"], ["--folders", "x"], ["--val", "1.5", "--out", "x.csv"]]
)
def test_split_usage(photos, arguments):
    """Wrong use is exit code 2."""
    run("split", photos, *arguments, exit_code=2)


def test_clean(photos, tmp_path):
    """What the audit found is left out, with the reason."""
    audit = {
        "format": 1,
        "root": str(photos),
        "findings": [{"kind": "truncated", "message": "Ends early.", "files": [{"path": "Metal-Cans/00.jpg"}]}],
        "duplicate_groups": [],
    }
    (tmp_path / "audit.json").write_text(json.dumps(audit))
    text = run("clean", photos, tmp_path / "audit.json", "--out", tmp_path / "c.csv")
    assert "Metal-Cans/00.jpg: truncated: Ends early." in text
    assert "kept 19 of 20 photos (1 truncated)" in text
    found = json.loads(run("clean", photos, tmp_path / "audit.json", "--out", tmp_path / "d.csv", "--json"))
    assert found["reasons"] == {"truncated": 1}
    run("clean", photos, tmp_path / "audit.json", "--out", tmp_path / "e.csv", "--drop", "nonsense", exit_code=2)


def test_explore(photos, tmp_path, shared_bundle):
    """Pictures, page and map are drawn with the model that is named."""
    found = json.loads(run("explore", photos, "--out", tmp_path / "out", "--model", shared_bundle, "--json"))
    assert len(found["pictures"]) == 8
    assert found["looked_at"] == 20
    assert "index.html" in run("explore", photos, "--out", tmp_path / "two", "--no-map")


def test_fetch_list():
    """The catalogue is shown with licences, as a table and as JSON."""
    assert "trashnet" in run("fetch", "--list")
    assert {s["name"] for s in json.loads(run("fetch", "--list", "--json"))} >= {"trashnet", "taco"}


def test_fetch(tmp_path):
    """A set of one's own catalogue is fetched; a mistyped name and a missing --out are told."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for i in range(3):
            archive.writestr(f"set/{('Tin can', 'glass')[i // 2]}/{i}.jpg", photo_bytes(i))
    with serve() as web:
        web.files["/a.zip"] = data.getvalue()
        (tmp_path / "c.toml").write_text(
            '[[sets]]\nname = "cans"\ntitle = "Cans"\nhome = "https://example.org"\nlicence = "MIT"\n'
            f'folders = ["set"]\nclasses = {{"Tin can" = "metal_cans"}}\n'
            f'files = [{{name = "a.zip", urls = ["{web.url}/a.zip"]}}]\n'
        )
        options = ["--catalogue", tmp_path / "c.toml"]
        assert "fetched: 3 photos" in run("fetch", "cans", "--out", tmp_path / "cans", *options)
        again = json.loads(run("fetch", "cans", "--out", tmp_path / "cans", *options, "--json"))
        assert (again["was_there"], again["mapped"]) == (True, {"metal_cans": 2})
        with pytest.raises(DatasetError, match="did you mean cans"):
            run("fetch", "can", "--out", tmp_path / "x", *options)
        run("fetch", "cans", *options, exit_code=2)
    with pytest.raises(InputError, match="cannot read"):
        run("fetch", "cans", "--catalogue", tmp_path / "none.toml")


def test_program(photos, tmp_path):
    """As a program: one line and exit code 2 for bad input, nothing on standard error otherwise."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}

    def program(*arguments):
        command = [sys.executable, "-m", "binsight", "data", *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

    missing = program("scan", tmp_path / "none")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.count("\n") == 1
    sound = program("scan", photos, "--json")
    assert (sound.returncode, sound.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_text_as_windows_writes_it(photos, tmp_path, encoding):
    """Every text file that a command takes may be as Windows writes it; another encoding is refused in one line."""
    texts = {
        "own.toml": "name='é'\n"
        + "".join(f"[[classes]]\nid='{i}'\ntitle='{i}'\nstream='x'\n" for i in ("metal_cans", "paper_waste")),
        "catalogue.toml": "# é\n",
        "audit.json": json.dumps(
            {"format": 1, "root": f"{photos}", "findings": [], "duplicate_groups": [], "é": 1}, ensure_ascii=False
        ),
        "manifest.csv": f"path,class\n{photos}/paper_waste/01.jpg,é\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    commands = (
        ("scan", photos, "--taxonomy", tmp_path / "own.toml"),
        ("fetch", "--list", "--catalogue", tmp_path / "catalogue.toml"),
        ("clean", photos, tmp_path / "audit.json", "--out", tmp_path / "o.csv"),
        ("scan", tmp_path / "manifest.csv"),
    )
    for command in commands:
        if encoding == "cp1252":
            with pytest.raises(InputError, match=r"expected UTF-8 text, got other bytes.*cp1252"):
                run(*command)
        else:
            run(*command)
