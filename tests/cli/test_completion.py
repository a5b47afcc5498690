"""What a shell completes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import RunBinsight


@pytest.mark.parametrize(
    ("shell", "words"),
    [("bash", "complete -o nosort -F"), ("zsh", "#compdef binsight"), ("fish", "complete --no-files")],
)
def test_script_of_each_shell(binsight: RunBinsight, shell: str, words: str) -> None:
    """Each shell has a script that asks binsight for completions."""
    run = binsight("completion", shell)
    assert run.code == 0
    assert words in run.out
    assert f"_BINSIGHT_COMPLETE={shell}_complete" in run.out


@pytest.mark.parametrize("arguments", [("completion",), ("completion", "tcsh")])
def test_unknown_shell_is_wrong_use(binsight: RunBinsight, arguments: tuple[str, ...]) -> None:
    """Another shell, or none, is refused with those there are."""
    run = binsight(*arguments)
    assert (run.code, run.out) == (2, "")
    assert all(shell in run.err for shell in ("bash", "zsh", "fish"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("binsight pred", {"predict"}),
        ("binsight model ", {"diff", "draw", "pack", "show", "verify"}),
        ("binsight model ver", {"verify"}),
        ("binsight predict --h", {"--heatmap", "--help"}),
        ("binsight completion ", {"bash", "fish", "zsh"}),
    ],
)
def test_words_are_completed(
    binsight: RunBinsight, monkeypatch: pytest.MonkeyPatch, line: str, expected: set[str]
) -> None:
    """Commands, their commands, options and choices are completed."""
    monkeypatch.setenv("_BINSIGHT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    assert {answer.removeprefix("plain,") for answer in binsight().lines()} == expected
