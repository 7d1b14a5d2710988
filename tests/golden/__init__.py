"""Stores that releases wrote, which every later release must read byte for byte."""
