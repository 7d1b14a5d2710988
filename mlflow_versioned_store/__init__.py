"""A versioned, deduplicating artifact store for MLflow that needs no server."""

__version__ = "0.1.0"
