"""`binsight completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    Examples:
      binsight completion bash > ~/.local/share/bash-completion/completions/binsight
      binsight completion zsh  > "${fpath[1]}/_binsight"
      binsight completion fish > ~/.config/fish/completions/binsight.fish
    """
    from binsight.cli.app import root

    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(completer(root, {}, "binsight", "_BINSIGHT_COMPLETE").source())
