"""The root command: help, version, mistakes, and what it does not import."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from tests.cli.conftest import run_process

from binsight import __version__
from binsight.cli.app import root
from binsight.notes import Note

if TYPE_CHECKING:
    from tests.cli.conftest import RunBinsight

COMMANDS = [
    *((), ("predict",), ("completion",)),
    *(("model",), ("model", "show"), ("model", "verify"), ("model", "diff"), ("model", "draw"), ("model", "pack")),
    *(("train",), ("tune",), ("evaluate",), ("compare",), ("explain-errors",), ("export",), ("benchmark",)),
]


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(binsight: RunBinsight, option: str) -> None:
    """The version is printed with the name."""
    run = binsight(option)
    assert (run.code, run.out) == (0, f"binsight {__version__}\n")


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_examples(binsight: RunBinsight, command: tuple[str, ...], option: str) -> None:
    """The help of each command shows how it is called, and an example on a line of its own."""
    run = binsight(*command, option)
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith(" ".join(("Usage: binsight", *command)))
    examples = run.out.split("Examples:\n")[1].splitlines()
    assert examples[0].strip().startswith(" ".join(("binsight", *command)))


def test_help_fits_a_terminal(binsight: RunBinsight) -> None:
    """No line of any help is wider than 120 characters."""
    for command in COMMANDS:
        assert max(map(len, binsight(*command, "--help").lines())) <= 120


def test_help_lists_every_command(binsight: RunBinsight) -> None:
    """The help lists each command with what it does."""
    text = binsight("--help").out
    for name in root.list_commands(click.Context(root)):
        assert f"\n  {name} " in text


def test_no_command_shows_the_help(binsight: RunBinsight) -> None:
    """Without a command the help is shown."""
    run = binsight()
    assert "Usage: binsight" in run.out + run.err
    assert "predict" in run.out + run.err


@pytest.mark.parametrize(
    ("words", "nearest"),
    [(("predct",), "predict"), (("modle",), "model"), (("model", "shwo"), "show"), (("predict", "--jsn"), "--json")],
)
def test_mistyped_word_suggests(binsight: RunBinsight, words: tuple[str, ...], nearest: str) -> None:
    """A mistyped command or option is answered with the nearest there is, and exit code 2."""
    run = binsight(*words)
    assert (run.code, run.out) == (2, "")
    assert "id you mean" in run.err
    assert nearest in run.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (FileNotFoundError(2, "No such file or directory", "x.txt"), 2, "x.txt: no such file or folder"),
        (OSError(28, "No space left on device"), 2, "no space left on its disk; make room, or choose another place"),
        (ssl.SSLError(1, "[SSL] PEM lib"), 2, "TLS: "),
        (MemoryError(), 2, "not enough memory; use fewer --workers, or smaller photos"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_error_of_the_system_is_one_line(
    binsight: RunBinsight, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    """An error that no command has put into words is told in one line, and not as one of the output."""

    def fail(**options: object) -> None:
        raise error

    monkeypatch.setattr(root, "main", fail)
    run = binsight("predict")
    assert (run.code, run.out) == (code, "")
    assert run.err.startswith(f"binsight: {told}")
    assert run.err.count("\n") == 1


def test_warning_is_one_line(binsight: RunBinsight, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own warnings are notes; those of other libraries are not for the user."""

    def warn(**options: object) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("look\nout", Note, stacklevel=1)
            warnings.warn("old", DeprecationWarning, stacklevel=1)

    monkeypatch.setattr(root, "main", warn)
    assert binsight("predict").err == "note: look\\nout\n"


def test_help_groups_commands(binsight: RunBinsight) -> None:
    """Commands are listed by what they are for, and every one once."""
    text = binsight("--help").out
    titles = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Options:", "Use:", "Evaluate:", "Line:", "Data:", "Train:", "Loop:", "Ship:"]


def test_long_help_groups_options(binsight: RunBinsight) -> None:
    """Options are listed by what they are for."""
    text = binsight("data", "audit", "--help").out
    assert text.index("\nOptions:") < text.index("\nPhotos:") < text.index("\nBounds:") < text.index("--min-side")


def test_far_off_word_suggests_nothing(binsight: RunBinsight) -> None:
    """A word that is near to no command is refused without a guess."""
    run = binsight("xyzzy")
    assert run.code == 2
    assert "xyzzy" in run.err
    assert "mean" not in run.err


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that are loaded after some code has run in a fresh process."""
    listing = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"], capture_output=True, check=True, text=True, timeout=60
    )
    return set(run.stderr.split())


def test_help_loads_nothing_heavy() -> None:
    """`binsight --help` and `--version` load neither NumPy nor ONNX Runtime nor rich nor Pillow."""
    code = "from binsight.cli.app import root\nfor o in '--help', '--version': root.main([o], standalone_mode=False)"
    assert not loaded_after(code) & {"numpy", "onnxruntime", "rich", "PIL"}


def test_help_of_each_command_loads_no_runtime() -> None:
    """The help of each command, which imports the command, loads neither ONNX Runtime nor NumPy nor rich.

    All but those of `train` and `tune`, whose flags are made from the settings: these load NumPy, but nothing heavier.
    """
    light = [command for command in COMMANDS if command not in {("train",), ("tune",)}]
    assert not _loaded_by_help(light) & {"onnxruntime", "numpy", "rich", "PIL"}
    assert not _loaded_by_help(COMMANDS) & {"onnxruntime", "rich", "keras", "tensorflow", "sklearn", "matplotlib"}


def _loaded_by_help(commands: list[tuple[str, ...]]) -> set[str]:
    code = "\n".join(f"root.main({[*command, '--help']!r}, standalone_mode=False)" for command in commands)
    return loaded_after(f"from binsight.cli.app import root\n{code}")


def test_installed_command_and_module_are_the_same(tmp_path: Path) -> None:
    """`binsight` and `python -m binsight` are one program."""
    script = Path(sys.executable).with_name("binsight")
    if not script.exists():
        pytest.skip("binsight is not installed beside this Python")
    run = subprocess.run([script, "--version"], capture_output=True, check=True, text=True, timeout=60, cwd=tmp_path)
    assert run.stdout == run_process("--version").stdout == f"binsight {__version__}\n"


def test_warnings_are_notes(photos, tmp_path):
    """A cache that cannot be used is one plain line, said once, and the work is done."""
    (tmp_path / "file").write_text("x")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "file")}
    run = run_process("data", "audit", photos.parent, "--taxonomy", "none", "--model", "none", env=environment)
    notes = [line for line in run.stderr.splitlines() if "going on" in line]
    assert len(notes) == 1
    assert notes[0].startswith("note: going on without")
    assert "photos" in run.stdout
