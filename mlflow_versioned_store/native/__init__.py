"""The native layout: paths whose every version is one plain object, under a key that any tool can read."""
