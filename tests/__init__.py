"""The tests of mlflow-versioned-store; `tests.servers` holds the servers they run against."""
