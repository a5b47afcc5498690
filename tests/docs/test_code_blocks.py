"""What the pages tell people to type works: blocks are run, or a comment above says why not (`<!-- not run: … -->`)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from PIL import Image
from tests.docs.pages import PAGES, ROOT, blocks, page_name
from tests.patience import PATIENCE_S

from binsight.bundle.bundle import resolve_bundle
from binsight.cli.app import root
from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
PHOTOS = {
    "ewaste": ("circuit_board.jpg", "motherboard.jpg"),
    "food_waste": ("citrus_slices.jpg", "corn_cob.png"),
    "plastic_bottles": ("plastic_bottle.jpg",),
}
RUN = [(page, b) for page in PAGES for b in blocks(page) if b.language in {"sh", "python"} and b.reason is None]
COMMANDS = [
    pytest.param(shlex.split(line, comments=True), id=f"{page_name(page)}-{block.line}-{number}")
    for page in PAGES
    for block in blocks(page)
    if block.language in {"", "sh"}
    for number, line in enumerate(block.text.replace("\\\n", " ").splitlines())
    if re.match(r"binsight \w", line)
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the photos and models that the pages speak of."""
    folder = tmp_path_factory.mktemp("world")
    for category, names in PHOTOS.items():
        for name in names:
            with Image.open(ROOT / "examples" / "photos" / name) as opened:
                photo = opened.convert("RGB").reduce(3)
            width, height = photo.size
            for split, left in (("train", 0), ("val", width // 3), ("test", 2 * width // 3)):  # different shots
                for place in (folder / "photos" / split / category, folder / "belt" / category):
                    place.mkdir(parents=True, exist_ok=True)
                    photo.crop((left, 0, left + width // 3, height)).save(place / f"{split}-{Path(name).stem}.jpg")
    for name in ("metal", "paper", "cardboard", "glass", "plastic", "trash"):
        shutil.copytree(folder / "photos" / "test" / "ewaste", folder / "trashnet" / name)
    for name in ("tomorrow", "clothes"):
        shutil.copytree(folder / "belt" / "ewaste", folder / name)
    (folder / "examples").mkdir()
    (folder / "examples" / "photos").symlink_to(ROOT / "examples" / "photos")
    for name in ("can.jpg", "a.jpg", "b.jpg", "dress.jpg"):
        shutil.copy(ROOT / "examples" / "photos" / "plastic_bottle.jpg", folder / name)
    (folder / "notes.txt").write_text("no photo")
    bundle = resolve_bundle("waste8")
    with zipfile.ZipFile(folder / "my.zip", "w") as packed:
        for file in bundle.rglob("*"):
            packed.write(file, file.relative_to(bundle))
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the address of a server with the model in the package."""
    server = RunningServer(Settings(port=0, workers=1, access_log=False, deadline_s=PATIENCE_S))
    server.load()
    yield server.url.removeprefix("http://")
    server.stop()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a `PATH` with this `binsight`, a `pip` that does nothing, and a `curl` that fails when it is refused."""
    folder = tmp_path_factory.mktemp("programs")
    for name, command in {
        "binsight": f'{sys.executable} -m binsight "$@"',
        "python": f'{sys.executable} "$@"',
        "pip": "true",
        "curl": f'{shutil.which("curl")} --silent --show-error --fail-with-body "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("page", sorted({page for page, _ in RUN}), ids=page_name)
@pytest.mark.skipif(sys.platform == "win32", reason="the blocks are for a shell of Unix")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_blocks_run(page: Path, world: Path, server: str, programs: str, tmp_path: Path) -> None:
    """The blocks of a page, one after the other in one folder; exit code 1, a check that found problems, is none."""
    folder = tmp_path / "here"
    shutil.copytree(world, folder, copy_function=os.link, symlinks=True)
    variables = {**os.environ, "PATH": programs, "PYTHONPATH": str(ROOT / "src"), "BINSIGHT_MODEL": "waste8"}
    for block in [block for other, block in RUN if other == page]:
        text = block.text.replace("localhost:9696", server)
        if shutil.which("jq") is None:
            text = re.sub(r"\| *jq .*", ">/dev/null", text)
        script = f"set -o pipefail; trap 'code=$?; [ $code -eq 1 ] || exit $code' ERR\n{text}"
        command = ["bash", "-c", script] if block.language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, check=False, cwd=folder, env=variables, capture_output=True, text=True)
        said = f"{page_name(page)}, line {block.line}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode in ({0, 1} if block.language == "sh" else {0}), said
        assert "Traceback" not in done.stderr, said


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_are_known(words: list[str]) -> None:
    """Every command that stands on a page, run or not, exists with these options."""
    ends = [i for i, word in enumerate(words) if re.match(r"[|>;&]", word) or word == "…"]
    command, context = root, None  # below the root, whose settings hold for all: click keeps what it found first
    words = words[1 : min(ends, default=len(words))]
    while isinstance(command, click.Group) and words:
        context = command.make_context(command.name, words, parent=context, resilient_parsing=True)
        name, *words = [*context._protected_args, *context.args]
        found = command.get_command(context, name)
        assert found is not None, f"no command {name}"
        command = found
    command.make_parser(click.Context(command, parent=context)).parse_args(args=list(words))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_data_can_be_read(page: Path) -> None:
    """Blocks of JSON and TOML are JSON and TOML; what `pip install` names exists."""
    for block in blocks(page):
        assert block.language not in {"bash", "console", "shell"}, f"line {block.line}: write sh"
        for place in re.findall(r"tests/[\w/]+(?:\.py)?", block.reason or ""):
            assert (ROOT / place).exists(), f"line {block.line}: no {place}"
        if block.reason is None and block.language == "json":
            json.loads(block.text)
        elif block.reason is None and block.language == "toml":
            tomllib.loads(block.text)
    for named in re.findall(r'pip install[^\n]*"\.\[([\w,-]+)\]"', page.read_text(encoding="utf-8")):
        assert set(named.split(",")) <= EXTRAS.keys(), named


def test_not_all_is_left_out() -> None:
    """Most pages with a shell have something that is run."""
    assert len({page for page, _ in RUN}) >= 7
    assert len(COMMANDS) > 50
