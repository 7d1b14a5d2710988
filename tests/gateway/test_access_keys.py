"""Access keys of the gateway."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.gateway.access_keys import from_environment


def test_the_key_of_the_environment_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both variables together make one key without bounds; one alone makes none, and a short secret is refused."""
    monkeypatch.setenv("MVS_GATEWAY_ACCESS_KEY", "reader")
    assert from_environment() == {}
    monkeypatch.setenv("MVS_GATEWAY_SECRET_KEY", "0123456789abcdef")
    (key,) = from_environment().values()
    assert (key.name, key.secret) == ("reader", "0123456789abcdef")
    assert key.may_read("any-bucket", "any/key")
    monkeypatch.setenv("MVS_GATEWAY_SECRET_KEY", "short")
    with pytest.raises(InvalidInput, match="reader"):
        from_environment()
