"""`python -m mlflow_versioned_store`: the command line `mvs`, where its script is not on the path."""

from __future__ import annotations

from mlflow_versioned_store.cli import main

if __name__ == "__main__":
    main(prog_name="python -m mlflow_versioned_store")
