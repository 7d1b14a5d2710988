"""Tests of the fsspec file system."""
