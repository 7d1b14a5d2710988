"""Tests of the native layout."""
