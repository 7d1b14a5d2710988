"""Tests of the history: commits, log, checkpoints, state, addresses."""
