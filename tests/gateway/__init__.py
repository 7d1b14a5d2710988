"""Tests of the S3 endpoint."""
