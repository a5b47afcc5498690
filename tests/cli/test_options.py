"""Options that commands share: old names, addresses where files are wanted, one rule for bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from binsight.cli.app import root
from binsight.cli.options import Command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_one_name_for_one_thing() -> None:
    """No command shows an option under a name that was given up."""
    old = {"--threads", "--to", "--max-photos"}
    for path, command in _commands(root):
        if path == ("registry", "push"):
            continue  # to a service, not to a file or a format
        names = {name for parameter in command.params for name in parameter.opts}
        assert not names & old, path


@pytest.mark.parametrize("given", [["--old", "x"], ["--old=x"]])
def test_old_name_works_with_a_note(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An option that was called otherwise is understood, and its new name told."""
    command = Command("c", params=[click.Option(["--new"])], callback=lambda new: new, renamed={"--old": "--new"})
    assert command.main(given, standalone_mode=False) == "x"
    assert capsys.readouterr().err == "note: --old is now called --new\n"


@pytest.mark.parametrize("given", [["--model", "x"], ["--model=x"]])
def test_old_option_that_became_an_argument(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Its value is taken as the argument."""
    command = Command("c", params=[click.Argument(["bundle"])], callback=lambda bundle: bundle, renamed={"--model": ""})
    assert command.main(given, prog_name="c", standalone_mode=False) == "x"
    assert capsys.readouterr().err == "note: --model is not needed: c BUNDLE\n"


def test_what_follows_two_dashes_is_no_option() -> None:
    """A file may be called as an option was."""
    command = Command("c", params=[click.Argument(["f"])], callback=lambda f: f, renamed={"--old": "--new"})
    assert command.main(["--", "--old"], standalone_mode=False) == "--old"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("data", "scan", "{}"), ("train", "{}", "--out", "x"), ("evaluate", "waste8", "{}"), ("model", "show", "{}")),
        *(("predict", "x.jpg", "--model", "{}"), ("predict", "x.jpg", "--heatmap", "{}"), ("compare", "{}", "waste8")),
        *(("feedback", "list", "{}"), ("export", "{}", "--format", "onnx"), ("benchmark", "--photos", "{}")),
    ],
    ids=" ".join,
)
def test_address_where_a_file_is_wanted(binsight: RunBinsight, arguments: tuple[str, ...]) -> None:
    """It is refused by every command, which says what to do."""
    run = binsight(*(word.format("https://example.org/x.zip") for word in arguments))
    assert run.code == 2
    assert "got the address https://example.org/x.zip; download it: curl" in run.err + run.out


def test_bundle_in_the_environment_is_taken_whole(
    binsight: RunBinsight, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces and equals signs in its path are part of it."""
    place = bundle.rename(tmp_path / "my model=1")
    monkeypatch.setenv("BINSIGHT_MODEL", str(place))
    for command in (("model", "verify"), ("model", "show"), ("benchmark", "--limit", "1", "--json")):
        assert binsight(*command).code == 0, command
    assert binsight("model", "verify").out == f"{place}: sound\n"


def test_serve_takes_the_bundle_of_the_environment_whole(
    binsight: RunBinsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path with spaces is one model, and what is wrong with TLS is told by the file's name."""
    pytest.importorskip("uvicorn")
    monkeypatch.setenv("BINSIGHT_MODEL", str(tmp_path / "no such model"))
    missing = binsight("serve", "--port", "0")
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert f"no model bundle at '{tmp_path / 'no such model'}'" in missing.err
    (tmp_path / "c.pem").write_text("not a certificate")
    run = binsight("serve", "--port", "0", "--tls-certificate", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem")
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert f"a certificate, with a line -----BEGIN ... CERTIFICATE-----; {tmp_path / 'c.pem'} has none" in run.err
