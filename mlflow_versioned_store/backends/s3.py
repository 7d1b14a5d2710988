"""A bucket of S3 or of a server that speaks its language, through obstore, and through boto3 after a fork."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_versioned_store.backends.clock import server_time
from mlflow_versioned_store.backends.contract import Backend, Capabilities
from mlflow_versioned_store.backends.forks import ForkAwareBackend, obstore_lost
from mlflow_versioned_store.backends.objects import ObstoreBackend, Stores
from mlflow_versioned_store.backends.provider_errors import Answer
from mlflow_versioned_store.backends.s3_config import S3Config
from mlflow_versioned_store.errors import InvalidInput, LocalStorageFailed

if TYPE_CHECKING:
    from obstore.store import S3Store

CONNECT_SECONDS_MAX = 5
STALL_SECONDS_MAX = 10
TRANSFER_SECONDS_MAX = 600
CONNECTIONS = 64

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_CHECKSUM_REFUSALS = {"InvalidArgument", "InvalidRequest", "NotImplemented"}
_EXPIRED = {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "InvalidTokenId", "TokenRefreshRequired"}
_WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"}
_REGION = re.compile(r"<Region>([a-z0-9-]+)</Region>|s3[.-]([a-z]{2}-[a-z-]+-\d)\.amazonaws")


def open_s3(bucket: str, config: S3Config) -> Backend:
    """Return a bucket. No request.

    Everything goes through boto3 where the bucket's owner is to be checked with every request: obstore cannot sign
    that header on listings.

    Raises:
        InvalidInput: `bucket` cannot be a bucket's name.
        LocalStorageFailed: The bundle of certificates cannot be read.
    """
    if not _BUCKET.fullmatch(bucket):
        raise InvalidInput(f"{bucket!r} is no name of an S3 bucket.")

    return ForkAwareBackend(lambda: _boto3(bucket, config) if _needs_boto3(config) else _obstore(bucket, config))


def bulk_stores(bucket: str, config: S3Config, *, retries: int) -> Stores | None:
    """Return obstore's handles for objects written in parts; None where only boto3 can write them rightly."""
    # obstore sends neither some headers nor a customer's key with every request of an upload in parts.
    if _needs_boto3(config) or config.upload.headers or config.upload.customer_key is not None:
        return None
    return _Handles(bucket, config, retries).open()


def _needs_boto3(config: S3Config) -> bool:
    return config.expected_bucket_owner is not None or obstore_lost()


def _obstore(bucket: str, config: S3Config) -> Backend:
    handles = _Handles(bucket, config)
    return ObstoreBackend(
        handles.open(),
        location=f"s3://{bucket}",
        capabilities=_capabilities(bucket),
        clock=_clock(bucket, config),
        bulk_delete=True,
        # Parts are sent without the headers of the object, which some of them need too.
        multipart=not config.upload.headers,
        adapt=handles.adapted,
    )


def _boto3(bucket: str, config: S3Config) -> Backend:
    from mlflow_versioned_store.backends.boto3_objects import Boto3Backend, s3_client

    capabilities, clock = _capabilities(bucket), _clock(bucket, config)
    return Boto3Backend(s3_client(config), bucket, config, capabilities=capabilities, clock=clock)


def _capabilities(bucket: str) -> Capabilities:
    # Directory buckets of S3 Express list in no order and keep no versions.
    express = _is_express(bucket)
    return Capabilities(ordered_list=not express, object_versions=not express, durable=True, remote=True)


def _is_express(bucket: str) -> bool:
    return bucket.endswith("--x-s3")


def _clock(bucket: str, config: S3Config) -> Callable[[], datetime]:
    url, _ = config.address(bucket)
    return partial(
        server_time, url, verify_tls=config.verify_tls, ca_bundle=config.ca_bundle, proxy=config.proxy(bucket)
    )


@dataclass
class _Handles:
    """Opens obstore's handles on a bucket, and other ones after a refusal that tells what was wrong."""

    bucket: str
    config: S3Config
    retries: int = 0
    checksum: bool = True

    def open(self) -> Stores:
        upload = self.config.upload
        stall, transfer = timedelta(seconds=STALL_SECONDS_MAX), timedelta(seconds=TRANSFER_SECONDS_MAX)
        quick = self._store(read_timeout=stall, timeout=transfer)
        headers = {"default_headers": upload.headers} if upload.headers else {}
        return Stores(
            read=quick,
            write=self._store(read_timeout=stall, timeout=transfer, **headers) if headers else quick,
            open_bulk=partial(self._store, timeout=transfer, **headers),
            attributes=upload.attributes,
            tags=upload.tags,
        )

    def adapted(self, answer: Answer, _: Stores) -> Stores | None:
        """Return handles with which the refused request may succeed; the server did nothing but refuse it."""
        credentials = self.config.credentials
        if self.checksum and refuses_checksum(answer):
            self.checksum = False
        elif answer.code in _EXPIRED and credentials is not None and credentials.renewable:
            credentials.forget()
        elif answer.code in _WRONG_REGION and (region := _region_in(answer)) not in (None, self.config.region):
            self.config = replace(self.config, region=region)
        else:
            return None
        return self.open()

    def _store(self, **client: Any) -> S3Store:
        from obstore.store import S3Store

        config, options = self.config, dict(client)
        url, virtual = config.address(self.bucket)
        options |= {
            "allow_http": url.startswith("http://"),
            "allow_invalid_certificates": not config.verify_tls,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS_MAX),
            "pool_max_idle_per_host": str(CONNECTIONS),
        }
        if config.ca_bundle is not None:
            options["root_certificate"] = _certificates(config.ca_bundle)
        if (proxy := config.proxy(self.bucket)) is not None:
            options["proxy_url"] = proxy
        provider: Callable[[], Any] | None = config.credentials.for_obstore if config.credentials else None
        # obstore reads AWS_* variables by itself; what is set here wins over them.
        settings: dict[str, Any] = {
            "endpoint": url,
            "aws_endpoint_url_s3": url,
            "region": config.region,
            "virtual_hosted_style_request": virtual,
            "skip_signature": provider is None,
            "unsigned_payload": True,
            "conditional_put": "etag",
            "s3_express": _is_express(self.bucket),
            "request_payer": config.upload.text("RequestPayer") is not None,
            "disable_tagging": False,
            **({"checksum_algorithm": "CRC64NVME"} if self.checksum else {}),
            **config.upload.obstore_settings,
        }
        return S3Store(
            self.bucket,
            config=settings,  # type: ignore[arg-type]
            client_options=options,  # type: ignore[arg-type]
            retry_config={"max_retries": self.retries, "retry_timeout": timedelta(seconds=STALL_SECONDS_MAX)},
            credential_provider=provider,
        )


def refuses_checksum(answer: Answer) -> bool:
    """Tell whether a server refused a request because it does not know CRC64NVME."""
    # Servers that do not know the algorithm complain so; who found other bytes than were sent has other codes.
    return answer.status in (400, 501) and answer.code in _CHECKSUM_REFUSALS and "checksum" in answer.text.lower()


def _region_in(answer: Answer) -> str | None:
    found = _REGION.search(answer.body)
    return (found[1] or found[2]) if found else None


def _certificates(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise LocalStorageFailed(f"The certificates in {path} (AWS_CA_BUNDLE) cannot be read: {error}.") from error
