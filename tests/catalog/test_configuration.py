"""The configuration in words: true, with its origin, and without a secret."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from mlflow_versioned_store.catalog.configuration import (
    HIDDEN,
    SHOWN,
    Value,
    connection,
    environment,
    redacted,
    settings_in_words,
)
from mlflow_versioned_store.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
KEY = base64.b64encode(bytes(range(32))).decode()


def test_what_is_shown_is_on_the_page() -> None:
    """Every variable that is shown is documented, and none that holds a secret is shown."""
    page = PAGE.read_text()
    assert [name for name in SHOWN if f"`{name}`" not in page] == []
    secret = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_CONNECTION_STRING"}
    assert not secret & set(SHOWN)


@pytest.mark.parametrize("name", [name for name, default in SHOWN.items() if default])
def test_defaults_are_those_of_the_page(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The default that is told is the documented one."""
    monkeypatch.delenv(name, raising=False)
    (row,) = re.findall(rf"^\| `{name}`[^|]*\| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    assert row.startswith(f"`{SHOWN[name]}`")
    assert Value(name, SHOWN[name], "default") in environment()


def test_a_variable_is_told_with_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set is told as set; what may hold a secret, and what nobody knows, only by its name."""
    monkeypatch.setenv("MVS_MEMORY", "64M")
    monkeypatch.setenv("https_proxy", "http://ann:pass1234@proxy:3128/?key=pass5678")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pass9012")
    monkeypatch.setenv("MVS_UNHEARD_OF", "pass3456")
    told = environment()
    assert Value("MVS_MEMORY", "64M", "environment") in told
    assert Value("https_proxy", "http://proxy:3128/?…", "environment") in told
    assert Value("AWS_SECRET_ACCESS_KEY", HIDDEN, "environment") in told
    assert Value("MVS_UNHEARD_OF", HIDDEN, "environment") in told
    assert "pass" not in str(told)


def test_settings_are_told_with_their_origin() -> None:
    """A setting that was set is told apart from a default."""
    told = settings_in_words(Settings(delta=False, quotas={"1": 10}), {"delta": False, "quota:1": 10, "dedup": None})
    assert Value("delta", "off", "settings of the store") in told
    assert Value("quota:1", "10", "settings of the store") in told
    assert Value("dedup", "on", "default") in told


def test_settings_are_told_as_they_hold_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a variable of this process stands before a setting of the store, that is what is told, and which it is."""
    monkeypatch.setenv("MVS_DEDUP", "off")
    monkeypatch.setenv("MVS_DELTA", "on")
    monkeypatch.setenv("MVS_STAGE_SECONDS", "5")
    told = settings_in_words(Settings(delta=False), {"delta": False})
    assert Value("dedup", "off", "environment, MVS_DEDUP") in told
    assert Value("delta", "off", "settings of the store") in told
    assert Value("stage_seconds", "5", "environment, MVS_STAGE_SECONDS") in told


def test_the_cache_that_is_used_by_default_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it lies and how large it grows hold without a variable too."""
    monkeypatch.delenv("MVS_CACHE_DIR", raising=False)
    monkeypatch.delenv("MVS_CACHE_SIZE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch/ann")
    told = {value.name: value.value for value in environment() if value.origin == "default"}
    assert told["MVS_CACHE_DIR"] == "/scratch/ann/mlflow-versioned-store"
    assert "10 GiB" in told["MVS_CACHE_SIZE"]


def test_how_s3_is_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value comes with the variable it was taken from."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "pass1234")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pass5678")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://ann:pass9012@127.0.0.1:9000")
    told = connection("s3")
    assert Value("endpoint", "http://127.0.0.1:9000", "MLFLOW_S3_ENDPOINT_URL") in told
    assert Value("credentials", "found", "AWS_ACCESS_KEY_ID") in told
    assert Value("region", "us-east-1", "default") in told
    assert "pass" not in str(told)
    assert connection("file") == []


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn+FEMI", ["wJalr/XUtn+FEMI", "wJalr%2FXUtn%2BFEMI"]),
        ("AWS_SESSION_TOKEN", "t0ken-t0ken", ["t0ken-t0ken"]),
        ("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=ann;AccountKey={KEY};EndpointSuffix=x", [KEY]),
        ("AZURE_STORAGE_SAS_TOKEN", "?sv=2022&sig=a%2Fb%3Dc", ["a%2Fb%3Dc", "a/b=c"]),
        ("MLFLOW_TRACKING_PASSWORD", "open sesame", ["open sesame"]),
        ("MLFLOW_S3_UPLOAD_EXTRA_ARGS", json.dumps({"SSECustomerKey": KEY, "ACL": "private"}), [KEY]),
        ("HTTPS_PROXY", "http://ann:sesame@proxy", ["sesame"]),
    ],
)
def test_secrets_are_hidden_wherever_they_occur(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, secrets: list[str]
) -> None:
    """A secret of the environment is hidden in any text, also in part of one, and as it stands in URLs."""
    monkeypatch.setenv(name, value)
    for secret in secrets:
        shown = redacted({f"x{secret}": [f"before {secret} after", ("ann", 7, None, True)]})
        assert shown == {f"x{HIDDEN}": [f"before {HIDDEN} after", ["ann", 7, None, True]]}


def test_secrets_of_a_profile_are_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys that boto3's chain finds are hidden too."""
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id=pass1234\naws_secret_access_key=pass5678\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert redacted("pass1234 pass5678") == f"{HIDDEN} {HIDDEN}"
