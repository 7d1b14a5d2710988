"""Versions for tools that know nothing of this package: readable copies, links, and what moves in without a copy."""
