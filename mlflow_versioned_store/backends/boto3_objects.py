"""S3 through boto3: slower than obstore, but it survives a fork and signs every header on every request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_versioned_store.backends.contract import (
    Backend,
    Buffer,
    Capabilities,
    Fetched,
    ObjectInfo,
    check_folder,
    check_key,
    join,
)
from mlflow_versioned_store.backends.provider_errors import Answer, Request, error_for
from mlflow_versioned_store.backends.s3_config import S3Config
from mlflow_versioned_store.backends.s3_credentials import Credentials
from mlflow_versioned_store.errors import InvalidInput

if TYPE_CHECKING:
    from botocore.client import BaseClient

CONNECT_SECONDS_MAX = 5
STALL_SECONDS_MAX = 10
CONNECTIONS = 64

_PAGE = 1000


class Boto3Backend(Backend):
    """A bucket that boto3 reaches.

    Args:
        client: boto3's client for S3, with its own retries turned off.
        bucket: The bucket.
        config: What to send with each request.
        capabilities: What the bucket can do.
        clock: Returns the provider's time.
    """

    def __init__(
        self,
        client: BaseClient,
        bucket: str,
        config: S3Config,
        *,
        capabilities: Capabilities,
        clock: Callable[[], datetime],
    ):
        self.location = f"s3://{bucket}"
        self.capabilities = capabilities
        self._client: Any = client
        self._clock = clock
        owner = config.expected_bucket_owner
        self._bucket: dict[str, Any] = {"Bucket": bucket} | ({"ExpectedBucketOwner": owner} if owner else {})
        payer = {"RequestPayer": "requester"} if config.upload.text("RequestPayer") else {}
        self._list = self._bucket | payer
        self._read = self._bucket | config.upload.boto3_read()
        self._write = config.upload.boto3_write() | self._bucket

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        check_key(key)
        if start < 0 or (stop is not None and stop <= start):
            raise InvalidInput(f"[{start}, {stop}) is no range to read of {self.location}/{key}.", key=key)
        arguments = {"Key": key, **self._read}
        if start or stop is not None:
            arguments["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        if s3_version_id is not None:
            arguments["VersionId"] = s3_version_id
        request = Request("read", self.location, key)
        try:
            answer = self._send(request, self._client.get_object, **arguments)
        except InvalidInput:
            # No range of an object of no bytes can be served; it has an answer all the same.
            if start or (info := self.head(key)).size:
                raise
            return Fetched(b"", info)
        size = int(answer.get("ContentRange", "").rpartition("/")[2] or answer["ContentLength"])
        return Fetched(self._send(request, answer["Body"].read), _info(key, size, answer))

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        check_key(key)
        body = join(data) if data else b""
        body = bytes(body) if isinstance(body, memoryview) else body
        condition = {"IfNoneMatch": "*"} if create else {}
        request = Request("create" if create else "write", self.location, key)
        answer = self._send(request, self._client.put_object, Key=key, Body=body, **self._write, **condition)
        return _info(key, len(body), answer)

    def head(self, key: str) -> ObjectInfo:
        check_key(key)
        request = Request("look up", self.location, key)
        answer = self._send(request, self._client.head_object, Key=key, **self._read)
        return _info(key, answer["ContentLength"], answer)

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        prefix = f"{folder}/" if check_folder(folder) else ""
        start = {"StartAfter": after} if after else {}
        left = limit
        for page in self._pages(folder, Prefix=prefix, MaxKeys=min(_PAGE, limit or _PAGE), **start):
            for item in page.get("Contents", [])[:left]:
                yield ObjectInfo(item["Key"], item["Size"], item["LastModified"].astimezone(UTC), _e_tag(item))
            left = None if left is None else left - len(page.get("Contents", []))
            if left is not None and left <= 0:
                return

    def folders(self, folder: str) -> Sequence[str]:
        prefix = f"{folder}/" if check_folder(folder) else ""
        pages = self._pages(folder, Prefix=prefix, Delimiter="/")
        return sorted(item["Prefix"].rstrip("/") for page in pages for item in page.get("CommonPrefixes", []))

    def delete(self, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), _PAGE):
            batch = [{"Key": check_key(key)} for key in keys[at : at + _PAGE]]
            request = Request("delete", self.location, keys[at])
            wanted = {"Objects": batch, "Quiet": True}
            answer = self._send(request, self._client.delete_objects, Delete=wanted, **self._list)
            check_deleted(answer, self.location)

    def now(self, folder: str = "") -> datetime:  # noqa: ARG002 - the server tells it without a write
        return self._clock()

    def close(self) -> None:
        self._client.close()

    def _pages(self, folder: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        request = Request("list", self.location, folder)
        more: dict[str, str] = {}
        while True:
            page = self._send(request, self._client.list_objects_v2, **self._list, **arguments, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _send(self, request: Request, send: Callable[..., Any], **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return send(**arguments)
        except (BotoCoreError, ClientError) as error:
            raise error_for(answer_of(error), request) from error


def check_deleted(answer: Mapping[str, Any], location: str) -> None:
    """Check the answer to a deletion of many objects.

    Raises:
        VersionedStoreError: At least one was not deleted; the message names the first.
    """
    for failure in answer.get("Errors", []):
        denied = failure.get("Code") == "AccessDenied"
        raise error_for(
            Answer(403 if denied else 500, failure.get("Code", ""), failure.get("Message", "")),
            Request("delete", location, failure["Key"]),
        )


def s3_client(
    config: S3Config, service: str = "s3", *, attempts: int = 1, sign_payloads: bool | None = None
) -> BaseClient:
    """Return boto3's client for S3 as `config` says.

    Args:
        config: How to reach the server.
        service: Which of the server's services.
        attempts: How often boto3 sends a request that fails at the provider or on the way.
        sign_payloads: Whether signatures cover bodies; by default boto3 decides.
    """
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session

    session, proxy = Session(), config.proxy()
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS_MAX,
        "read_timeout": STALL_SECONDS_MAX,
        "max_pool_connections": CONNECTIONS,
        "retries": {"total_max_attempts": attempts, "mode": "standard"},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "s3": {"addressing_style": config.addressing_style, "payload_signing_enabled": sign_payloads},
        "use_fips_endpoint": config.fips,
        "use_dualstack_endpoint": config.dual_stack,
        "proxies": {"http": proxy, "https": proxy} if proxy else {},
        "signature_version": "s3v4" if config.credentials else UNSIGNED,
    }
    if config.credentials is not None:
        session.register_component("credential_provider", _bridge(config.credentials))
    verify: bool | str = config.ca_bundle or True
    return session.create_client(
        service,
        region_name=config.region,
        endpoint_url=config.endpoint,
        verify=verify if config.verify_tls else False,
        config=Config(**settings),
    )


def answer_of(error: Exception) -> Answer:
    """Return what boto3's exception says the provider answered."""
    from botocore import exceptions as told

    # What boto3 says before it sends anything.
    if isinstance(error, (told.ParamValidationError, told.ValidationError, told.MissingParametersError)):
        return Answer(400, text=str(error), sent=False)
    no_keys = (told.NoCredentialsError, told.PartialCredentialsError, told.CredentialRetrievalError)
    if isinstance(error, (*no_keys, told.SSOError, told.TokenRetrievalError)):
        return Answer(401, text=str(error), sent=False)
    if not isinstance(error, told.ClientError):
        unreached = (told.ConnectTimeoutError, told.EndpointConnectionError, told.ProxyConnectionError)
        sent = not isinstance(error, unreached)
        return Answer(None, text=str(error), sent=sent)
    said: dict[str, Any] = error.response.get("Error", {})
    metadata: dict[str, Any] = error.response.get("ResponseMetadata", {})
    code = str(said.get("Code", ""))
    # An answer without a body, to HEAD, has its status for a code.
    code = "" if code.isdigit() else code
    return Answer(metadata.get("HTTPStatusCode"), code, said.get("Message", ""), metadata.get("RequestId"))


def _bridge(source: Credentials) -> Any:
    """Return a source of credentials, as botocore takes one, that asks ours."""
    from botocore.credentials import Credentials as BotocoreCredentials
    from botocore.credentials import ReadOnlyCredentials

    class Bridged(BotocoreCredentials):  # type: ignore[misc]
        def get_frozen_credentials(self) -> Any:
            keys = source.keys()
            return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token)

    class Resolver:
        def load_credentials(self) -> Any:
            keys = source.keys()
            return Bridged(keys.access_key, keys.secret_key, keys.token)

    return Resolver()


def _info(key: str, size: int, answer: dict[str, Any]) -> ObjectInfo:
    modified = answer.get("LastModified", datetime.now(UTC)).astimezone(UTC)
    return ObjectInfo(key, size, modified, _e_tag(answer), answer.get("VersionId"))


def _e_tag(answer: dict[str, Any]) -> str | None:
    tag: str | None = answer.get("ETag")
    return tag and tag.strip('"')
