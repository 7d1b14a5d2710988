"""What every S3 server of the tests has in common: an endpoint, a key pair, fresh buckets."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from tests.servers.process import Process

REGION = "us-east-1"


class S3Server:
    """An S3 server of the test session.

    Attributes:
        name: Which server this is, such as "minio".
        endpoint: Its URL.
        access_key: The key id of an account that may do everything.
        secret_key: The secret of that account.
        ca_bundle: The certificate authority of its TLS certificate, where it has one.
        process: The running server.
    """

    name: str
    endpoint: str
    access_key = "test-access-key"
    secret_key = "test-secret-key"
    ca_bundle: Path | None = None
    process: Process

    def stop(self) -> None:
        """Stop the server."""
        self.process.stop()

    def restart(self) -> None:
        """Stop the server as a crash would and start it again, on the same port and data."""
        self.process.kill()
        self.process.start()

    def client(self, **options: Any) -> Any:
        """Return a boto3 S3 client for this server; `options` override its arguments."""
        return self.service("s3", **options)

    def service(self, service: str, **options: Any) -> Any:
        """Return a boto3 client for another service of this server, such as "sts"."""
        import boto3
        from botocore.config import Config

        arguments: dict[str, Any] = {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": REGION,
            "verify": str(self.ca_bundle) if self.ca_bundle else None,
            "config": Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        }
        return boto3.session.Session().client(service, **(arguments | options))

    def new_bucket(self, *, versioned: bool = False, lock: bool = False) -> str:
        """Create an empty bucket and return its name; `lock` allows Object Lock, which keeps versions."""
        bucket = f"bucket-{uuid.uuid4().hex[:20]}"
        client = self.client()
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock)
        if versioned:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    def keys(self, bucket: str, prefix: str = "") -> dict[str, int]:
        """Return the sizes of a bucket's objects by key, as a client that knows nothing of this project sees them."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}

    def environment(self) -> dict[str, str]:
        """Return the variables that send boto3 and MLflow here."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
        }
        return variables | ({"AWS_CA_BUNDLE": str(self.ca_bundle)} if self.ca_bundle else {})

    def allow_anonymous_reads(self, bucket: str) -> None:
        """Let everybody read a bucket's objects."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": ["*"]},
            "Action": ["s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{bucket}/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client().put_bucket_policy(Bucket=bucket, Policy=policy)
