"""MinIO: the main S3 server of the tests, also with TLS, an encryption key, users with policies, temporary keys."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.servers.binaries import MINIO
from tests.servers.certificates import Authority
from tests.servers.process import Process, free_port, listens
from tests.servers.s3 import S3Server

KMS_KEY = "test-key"


class Minio(S3Server):
    """A MinIO server.

    Args:
        folder: Where its data and its log go.
        authority: Serve TLS with its certificate, and give temporary keys for its client certificates.
        kms: Offer server-side encryption under the one key `KMS_KEY`.
    """

    name = "minio"

    def __init__(self, folder: Path, *, authority: Authority | None = None, kms: bool = False) -> None:
        port, console_port = free_port(), free_port()
        self.endpoint = f"{'https' if authority else 'http'}://127.0.0.1:{port}"
        self.ca_bundle = authority.bundle if authority else None
        self._folder = folder
        self._authority = authority
        # Without its own address the console would listen on every interface.
        addresses = ["--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console_port}"]
        secure = ["--certs-dir", str(authority.server)] if authority else []
        environment = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
        if authority:
            environment["MINIO_IDENTITY_TLS_ENABLE"] = "on"
        if kms:
            environment["MINIO_KMS_SECRET_KEY"] = f"{KMS_KEY}:{base64.b64encode(bytes(32)).decode()}"
        self.process = Process(
            [str(MINIO.path()), "server", str(folder / "data"), *addresses, *secure],
            log=folder / "minio.log",
            ready=partial(listens, port),
            environment=environment,
        )
        self.process.start()

    def admin(self) -> Any:
        """Return the admin client of the `minio` package."""
        import urllib3
        from minio.credentials.providers import StaticProvider
        from minio.minioadmin import MinioAdmin

        return MinioAdmin(
            endpoint=self.endpoint.partition("://")[2],
            credentials=StaticProvider(self.access_key, self.secret_key),
            secure=self._authority is not None,
            http_client=urllib3.PoolManager(ca_certs=str(self.ca_bundle) if self.ca_bundle else None),
        )

    def add_user(self, name: str, *statements: dict[str, Any]) -> tuple[str, str]:
        """Create a user who may do what the policy `statements` allow; return the key pair."""
        admin = self.admin()
        secret = f"secret-of-{name}"
        admin.user_add(name, secret)
        admin.policy_add(f"{name}-policy", policy=json.loads(_policy(statements)))
        admin.policy_set(f"{name}-policy", user=name)
        return name, secret

    def assume_role(self, access_key: str, secret_key: str, *statements: dict[str, Any]) -> dict[str, str]:
        """Return temporary keys of a user, for 15 minutes: MinIO gives none that end sooner.

        Args:
            access_key: The user.
            secret_key: The user's secret.
            statements: A policy that narrows what the keys allow.

        Returns:
            `AccessKeyId`, `SecretAccessKey`, `SessionToken` and `Expiration`, which is in ISO 8601.
        """
        sts = self.service("sts", aws_access_key_id=access_key, aws_secret_access_key=secret_key)
        policy = {"Policy": _policy(statements)} if statements else {}
        answer = sts.assume_role(
            RoleArn="arn:aws:iam::000000000000:role/test", RoleSessionName="test", DurationSeconds=900, **policy
        )
        credentials: dict[str, Any] = answer["Credentials"]
        return credentials | {"Expiration": credentials["Expiration"].isoformat()}

    def short_lived_keys(self, *statements: dict[str, Any], seconds: float) -> dict[str, str]:
        """Return temporary keys that end in `seconds`, with the client certificate that they are given for.

        Args:
            statements: The policy that says what the keys allow.
            seconds: How long the keys live.

        Returns:
            The same as `assume_role`. The server needs an authority.
        """
        assert self._authority is not None, "only a server with a certificate authority gives short-lived keys"
        name = f"client-{uuid.uuid4().hex}"
        self.admin().policy_add(name, policy=json.loads(_policy(statements)))
        self._authority.issue_client(name, self._folder / name, seconds=seconds)
        context = ssl.create_default_context(cafile=self._authority.bundle)
        context.load_cert_chain(self._folder / name / "public.crt", self._folder / name / "private.key")
        query = "Action=AssumeRoleWithCertificate&Version=2011-06-15&DurationSeconds=900"
        request = urllib.request.Request(f"{self.endpoint}/?{query}", method="POST")
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            tree = ElementTree.fromstring(answer.read())
        credentials = next(found for found in tree.iter() if found.tag.endswith("}Credentials"))
        return {found.tag.rpartition("}")[2]: found.text or "" for found in credentials}


def _policy(statements: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
