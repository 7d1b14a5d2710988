"""`mvs completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import Unsupported


@_command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes commands and options in a shell.

    For bash, put this into ~/.bashrc: eval "$(mvs completion bash)"; for zsh likewise into ~/.zshrc; for fish, run
    once: mvs completion fish > ~/.config/fish/completions/mvs.fish
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise Unsupported(f"This release of click completes nothing in {shell}; install a newer one.")
    script = completion(click.get_current_context().find_root().command, {}, "mvs", "_MVS_COMPLETE").source()
    output.show({"shell": shell, "script": script}, lambda: click.echo(script))
