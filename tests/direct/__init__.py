"""Tests of readable copies, links and adoption."""
