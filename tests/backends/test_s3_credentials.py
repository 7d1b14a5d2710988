"""Where keys for S3 come from: each variable of boto3's chain leads to its source."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlflow_versioned_store.backends import s3_credentials
from mlflow_versioned_store.backends.s3_config import resolve
from mlflow_versioned_store.errors import CredentialsMissing
from tests.servers.moto import Moto


class Vendor:
    """A loopback server that hands keys out, as the one of a container does, and notes who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path != "/keys":
                    self.send_error(404)
                    return
                keys = {"AccessKeyId": "AKIAVENDED", "SecretAccessKey": "s", "Token": "t"}
                body = json.dumps(keys | {"Expiration": "2099-01-01T00:00:00Z"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815 - the base class calls it so

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """A server of keys."""
    vendor = Vendor()
    yield vendor
    vendor.server.shutdown()
    vendor.server.server_close()


@pytest.mark.parametrize("variable", ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"])
def test_temporary_keys_come_with_their_token(variable: str) -> None:
    """Either variable gives the session token."""
    credentials = s3_credentials.from_environment(
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", variable: "token"}
    )
    assert credentials is not None
    assert credentials.keys().token == "token"


def test_keys_with_an_end_are_left_to_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_CREDENTIAL_EXPIRATION makes keys of the environment renewable, and tells when they end."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    assert s3_credentials.from_environment(os.environ) is not None
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2099-01-01T00:00:00Z")
    credentials = resolve().credentials
    assert credentials is not None
    assert (credentials.origin, credentials.keys().access_key) == ("boto3's chain", "AKIAEXAMPLE")
    expires = credentials.keys().expires
    assert expires is not None
    assert expires.year == 2099


def test_a_web_identity_is_turned_into_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moto_server: Moto) -> None:
    """AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE give the role's temporary keys."""
    (tmp_path / "token").write_text("a-web-identity")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_server.endpoint)
    keys = s3_credentials.from_chain().keys()
    assert keys.access_key
    assert keys.token
    assert keys.expires is not None


def test_a_container_hands_out_keys(monkeypatch: pytest.MonkeyPatch, vendor: Vendor) -> None:
    """AWS_CONTAINER_CREDENTIALS_FULL_URI says where."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{vendor.url}/keys")
    assert s3_credentials.from_chain().keys().access_key == "AKIAVENDED"


def test_an_instance_is_asked_unless_that_is_switched_off(monkeypatch: pytest.MonkeyPatch, vendor: Vendor) -> None:
    """With AWS_EC2_METADATA_DISABLED nobody looks for a server that only a machine in a cloud has."""
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", vendor.url)
    with pytest.raises(CredentialsMissing):
        s3_credentials.from_chain()
    assert vendor.asked == []
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with pytest.raises(CredentialsMissing):
        s3_credentials.from_chain()
    assert vendor.asked


def test_threads_share_one_look_up_and_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that hangs is waited for once, however many threads want keys of it; `forget` looks anew."""
    monkeypatch.setattr(s3_credentials, "RESOLVE_SECONDS_MAX", 0.2)
    asked, hanging = [], threading.Event()

    def find() -> Callable[[], s3_credentials.Keys]:
        asked.append(1)
        hanging.wait(60)
        return lambda: s3_credentials.Keys("a", "s")

    credentials = s3_credentials.Credentials(find, origin="a program", renewable=True)

    def fails(_: int) -> None:
        with pytest.raises(CredentialsMissing, match="a program"):
            credentials.keys()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fails, range(4)))
    assert len(asked) == 1
    hanging.set()
    credentials.forget()
    assert credentials.keys().access_key == "a"
