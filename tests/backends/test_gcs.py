"""Which credentials a bucket of Google Cloud Storage is opened with."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_versioned_store.backends.gcs import open_gcs
from mlflow_versioned_store.errors import CredentialsMissing


def test_a_file_of_credentials_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GOOGLE_APPLICATION_CREDENTIALS names the file; one that holds none is an error that names the variable."""
    file = tmp_path / "login.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    file.write_text('{"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "t"}')
    assert open_gcs("box").location == "gs://box"
    file.write_text("no credentials")
    with pytest.raises(CredentialsMissing, match="GOOGLE_APPLICATION_CREDENTIALS"):
        open_gcs("box").capabilities  # noqa: B018 - opens it
