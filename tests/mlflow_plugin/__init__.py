"""The tests of the MLflow plugin."""
