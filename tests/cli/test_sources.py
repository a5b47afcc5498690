"""From what the user wrote to the photos that are meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.conftest import save_photo

from binsight.cli.sources import STDIN, Source, find_sources
from binsight.dataset.folder import PHOTO_SUFFIXES


@pytest.fixture
def here(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of photos, with the folder above it as the working folder."""
    monkeypatch.chdir(photos.parent)
    return photos


def names(*arguments: str) -> list[str]:
    """Return what the photos are called; faults are marked."""
    return [f"{'! ' if source.fault else ''}{source.name}" for source in find_sources(arguments)]


def faults(*arguments: str) -> list[str]:
    """Return the messages of all faults."""
    return [str(source.fault) for source in find_sources(arguments) if source.fault]


def test_file_is_itself(here: Path) -> None:
    """A file keeps the name it was given, whatever its suffix."""
    assert find_sources(["photos/a_red.png", "./photos/notes.txt"]) == [
        Source("photos/a_red.png", Path("a_red.png")),
        Source("./photos/notes.txt", Path("notes.txt")),
    ]


def test_folder_gives_its_photos(here: Path) -> None:
    """A folder gives the photos below it sorted by path, told by suffix in any case, without hidden ones."""
    assert find_sources(["photos"]) == [
        Source("photos/a_red.png", Path("a_red.png")),
        Source("photos/b_green.BMP", Path("b_green.BMP")),
        Source("photos/sub/deep/c_blue.webp", Path("sub/deep/c_blue.webp")),
    ]


@pytest.mark.parametrize("folder", ["photos/", "./photos", "photos/sub/..", "photos//"])
def test_folder_may_be_written_in_other_ways(here: Path, folder: str) -> None:
    """A folder written with a slash at its end, or in a roundabout way, is the same folder."""
    assert [source.relative.name for source in find_sources([folder])] == ["a_red.png", "b_green.BMP", "c_blue.webp"]


def test_hidden_folder_asked_for_is_searched(here: Path) -> None:
    """A hidden folder or file that is named is meant."""
    assert names("photos/.hidden", "photos/.x.png") == ["photos/.hidden/x.png", "photos/.x.png"]


def test_every_supported_suffix_is_a_photo(tmp_path: Path) -> None:
    """Each of the suffixes is found in a folder."""
    for suffix in PHOTO_SUFFIXES:
        (tmp_path / f"x{suffix}").touch()
    assert len(find_sources([str(tmp_path)])) == len(PHOTO_SUFFIXES)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.png", ["photos/a_red.png"]),
        ("photos/?_*.*", ["photos/a_red.png", "photos/b_green.BMP"]),
        ("photos/[ab]_*", ["photos/a_red.png", "photos/b_green.BMP"]),
        ("photos/**/*.webp", ["photos/sub/deep/c_blue.webp"]),
        ("photos/sub/../*.png", ["photos/sub/../a_red.png"]),
        ("photos/*", ["photos/a_red.png", "photos/b_green.BMP", "photos/notes.txt"]),
    ],
)
def test_pattern_is_expanded(here: Path, pattern: str, expected: list[str]) -> None:
    """A pattern gives the files it matches, sorted, `**` through folders, but no folders and nothing hidden."""
    assert names(pattern) == expected


def test_file_with_brackets_is_no_pattern(here: Path) -> None:
    """A file whose name looks like a pattern is that file."""
    save_photo(here / "can[1].png", (0, 0, 0))
    assert names("photos/can[1].png") == ["photos/can[1].png"]


def test_order_is_that_of_the_arguments(here: Path) -> None:
    """Photos come in the order in which they were asked for, twice if asked for twice."""
    assert names("photos/sub", "-", "photos/a_red.png", "photos/a_red.png") == [
        *("photos/sub/deep/c_blue.webp", STDIN, "photos/a_red.png", "photos/a_red.png")
    ]


@pytest.mark.parametrize("argument", ["nothing.jpg", "photos/nothing", "", "a" * 300, "photos/a_red.png/x"])
def test_missing_photo_is_a_fault(here: Path, argument: str) -> None:
    """Something that is not there is a fault in its place, even an empty word or an impossible name."""
    assert names("photos/a_red.png", argument) == ["photos/a_red.png", f"! {argument}"]
    assert faults(argument) == ["no such file or folder"]


def test_pattern_that_matches_nothing_is_a_fault(here: Path) -> None:
    """A pattern that no file matches is a fault."""
    assert names("photos/*.gif") == ["! photos/*.gif"]
    assert faults("photos/*.gif") == ["no file matches this pattern"]


@pytest.mark.parametrize("folder", [".", "empty", "./empty/"])
def test_folder_without_photos_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """A folder in which there are no photos is a fault that says what was looked for."""
    (tmp_path / "work" / "empty").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    [fault] = faults(folder)
    assert fault.startswith("no photos in this folder; looked for .avif, .bmp, ")


def test_link_to_nowhere_is_a_photo_that_cannot_be_read(here: Path) -> None:
    """A link that leads nowhere is there, and left to the reader, who says why it cannot be read."""
    (here / "link.png").symlink_to("nowhere")
    assert names("photos/link.png") == ["photos/link.png"]


def test_links_between_folders_do_not_lead_in_circles(here: Path) -> None:
    """A link to the folder above is not followed."""
    (here / "sub" / "up").symlink_to(here)
    assert len(names("photos")) == 3


def test_folder_that_cannot_be_read_is_a_fault(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder inside that may not be read is reported; the others are still searched."""
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names("photos") == ["photos/a_red.png", "photos/b_green.BMP", "! photos/sub"]
    assert faults("photos") == ["cannot read this folder: Permission denied"]


@given(st.text("ab*?[]!-~ é\n\\", max_size=8))
def test_any_word_has_an_answer(word: str) -> None:
    """Any word gives at least one photo or fault."""
    assert len(find_sources([word])) >= 1
