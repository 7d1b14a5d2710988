"""Least-privilege policies for those who use a store, in the language of each storage provider."""
