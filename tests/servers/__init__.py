"""Real storage servers for the tests: one module a server, on free loopback ports, each stopped by its own pid.

`python -m tests.servers install` puts the pinned binaries into a cache folder; `binaries` says which and where.
"""
