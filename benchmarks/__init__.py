"""Benchmarks: every line of the figures table, beside MLflow's stock S3 repository on the same MinIO.

`python -m benchmarks --help` says how to run them, docs/benchmarks.md what each line means and how it is measured.
"""
