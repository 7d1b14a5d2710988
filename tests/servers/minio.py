"""MinIO: the main S3 server of the tests, also with TLS, an encryption key, users with policies, temporary keys."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

from tests.servers.binaries import MINIO
from tests.servers.certificates import Certificates
from tests.servers.process import Process, free_port, listens
from tests.servers.s3 import S3Server

KMS_KEY = "test-key"


class Minio(S3Server):
    """A MinIO server.

    Args:
        folder: Where its data and its log go.
        certificates: Serve TLS with these.
        kms: Offer server-side encryption under the one key `KMS_KEY`.
        sts_seconds: How long keys from `assume_role` live; by default as long as is asked for, 900 at least.
    """

    name = "minio"

    def __init__(
        self, folder: Path, *, certificates: Certificates | None = None, kms: bool = False, sts_seconds: int = 0
    ) -> None:
        port, console_port = free_port(), free_port()
        self.endpoint = f"{'https' if certificates else 'http'}://127.0.0.1:{port}"
        self.ca_bundle = certificates.authority if certificates else None
        # Without its own address the console would listen on every interface.
        addresses = ["--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console_port}"]
        secure = ["--certs-dir", str(certificates.folder)] if certificates else []
        environment = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
        if kms:
            environment["MINIO_KMS_SECRET_KEY"] = f"{KMS_KEY}:{base64.b64encode(bytes(32)).decode()}"
        if sts_seconds:
            environment["MINIO_STS_DURATION"] = f"{sts_seconds}s"
        self.process = Process(
            [str(MINIO.path()), "server", str(folder / "data"), *addresses, *secure],
            log=folder / "minio.log",
            ready=partial(listens, port),
            environment=environment,
        )
        self.process.start()

    def admin(self) -> Any:
        """Return the admin client of the `minio` package."""
        from minio.credentials import StaticProvider
        from minio.minioadmin import MinioAdmin

        secure = self.endpoint.startswith("https")
        return MinioAdmin(
            endpoint=self.endpoint.partition("://")[2],
            credentials=StaticProvider(self.access_key, self.secret_key),
            secure=secure,
            cert_check=False,
        )

    def add_user(self, name: str, *statements: dict[str, Any]) -> tuple[str, str]:
        """Create a user who may do what the policy `statements` allow; return the key pair."""
        admin = self.admin()
        secret = f"secret-of-{name}"
        admin.user_add(name, secret)
        admin.policy_add(f"{name}-policy", policy={"Version": "2012-10-17", "Statement": list(statements)})
        admin.policy_set(f"{name}-policy", user=name)
        return name, secret

    def assume_role(self, access_key: str, secret_key: str, *, seconds: int = 900, **policy: Any) -> dict[str, Any]:
        """Return temporary credentials of a user (`AccessKeyId`, `SecretAccessKey`, `SessionToken`, `Expiration`).

        Args:
            access_key: The user.
            secret_key: The user's secret.
            seconds: How long they live, 900 at least; a server with `sts_seconds` ignores this.
            policy: `Statement`, a list, narrows what they allow.
        """
        sts = self.service("sts", aws_access_key_id=access_key, aws_secret_access_key=secret_key)
        narrowed = {"Policy": json.dumps({"Version": "2012-10-17"} | policy)} if policy else {}
        answer = sts.assume_role(
            RoleArn="arn:aws:iam::000000000000:role/test", RoleSessionName="test", DurationSeconds=seconds, **narrowed
        )
        credentials: dict[str, Any] = answer["Credentials"]
        return credentials
