"""`mvs`, the command line: one module a command, imported when the command is asked for."""

from mlflow_versioned_store.cli.group import main

__all__ = ["main"]
