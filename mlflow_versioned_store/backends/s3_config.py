"""How to reach S3: read from the variables and files that MLflow's own S3 repository and boto3 read."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from mlflow_versioned_store.backends import s3_arguments, s3_credentials
from mlflow_versioned_store.backends.s3_arguments import UploadArguments
from mlflow_versioned_store.backends.s3_credentials import Credentials
from mlflow_versioned_store.errors import CredentialsMissing, InvalidInput
from mlflow_versioned_store.wording import without_login

if TYPE_CHECKING:
    from botocore.session import Session

_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
_RELEVANT = re.compile(r"AWS_|MLFLOW_S3_|MLFLOW_BOTO_|MLFLOW_EXPERIMENTAL_S3_|HOME\Z|USERPROFILE\Z|BOTO_CONFIG\Z")
_PROXIES = re.compile(r"(https?|all|no)_proxy\Z", re.IGNORECASE)
_DNS_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_SIGNATURE = "MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION"
_TRUE, _FALSE = {"true", "1"}, {"false", "0", ""}


@dataclass(frozen=True, slots=True)
class S3Config:
    """Everything that decides how S3 is reached; its text never shows a secret.

    Args:
        endpoint: The server's URL; None for AWS.
        region: The region that requests are signed for.
        addressing_style: "auto", "path" or "virtual", as boto3 means them.
        verify_tls: Check the server's certificate.
        ca_bundle: A file of certificates to trust.
        proxies: The variables of the environment that say which proxy leads where.
        expected_bucket_owner: The account that must own the bucket.
        credentials: The source of keys; None sends requests unsigned.
        upload: Arguments of every write.
        fips: Use AWS's FIPS endpoints.
        dual_stack: Use AWS's dual-stack endpoints.
        origins: Where each value was found.
    """

    endpoint: str | None
    region: str
    addressing_style: str
    verify_tls: bool
    ca_bundle: str | None
    proxies: Mapping[str, str] = field(repr=False, hash=False)
    expected_bucket_owner: str | None
    credentials: Credentials | None
    upload: UploadArguments
    fips: bool = False
    dual_stack: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def effective(self) -> dict[str, tuple[str, str]]:
        """Return each value in words, without secrets, and where it came from."""
        proxy = self.proxy()
        values = {
            "endpoint": without_login(self.endpoint or "AWS"),
            "region": self.region,
            "addressing style": self.addressing_style,
            "TLS": self.ca_bundle or "system certificates" if self.verify_tls else "not checked",
            "proxy": without_login(proxy or "none"),
            "expected bucket owner": self.expected_bucket_owner or "any",
            "upload arguments": ", ".join(name for name, _ in self.upload.given) or "none",
            "FIPS": "on" if self.fips else "off",
            "dual stack": "on" if self.dual_stack else "off",
        }
        told = {
            "proxy": "proxy variables" if proxy else "default",
            "upload arguments": s3_arguments.VARIABLE if self.upload.given else "default",
        }
        found = {name: (value, self.origins.get(name) or told.get(name, "default")) for name, value in values.items()}
        if self.credentials is None:
            return found | {"credentials": ("none: requests are not signed", _SIGNATURE)}
        return found | {"credentials": ("found", self.credentials.origin)}

    def address(self, bucket: str) -> tuple[str, bool]:
        """Return the URL under which `bucket` is reached, and whether its name stands in the host name."""
        if self.endpoint is not None:
            virtual = self.addressing_style == "virtual"
            base = self.endpoint.rstrip("/")
        else:
            virtual = self.addressing_style != "path" and _DNS_BUCKET.fullmatch(bucket) is not None
            base = f"https://{self._aws_host()}"
        if not virtual:
            return base, False
        parts = urlsplit(base)
        return urlunsplit(parts._replace(netloc=f"{bucket}.{parts.netloc}")), True

    def proxy(self, bucket: str | None = None) -> str | None:
        """Return the proxy through which `bucket`, or the server without one in its name, is reached."""
        url = self.address(bucket)[0] if bucket else self.endpoint or f"https://{self._aws_host()}"
        parts = urlsplit(url)
        if not parts.hostname or urllib.request.proxy_bypass_environment(parts.netloc, self.proxies):  # type: ignore[attr-defined]
            return None
        return self.proxies.get(parts.scheme) or self.proxies.get("all")

    def _aws_host(self) -> str:
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        service = "s3-fips" if self.fips else "s3"
        return ".".join([service, *(["dualstack"] if self.dual_stack else []), self.region, suffix])


def encryption_scope(config: S3Config) -> str | None:
    """Return a short stable text that names the key objects are written under; None for the bucket's default."""
    return config.upload.encryption_scope


def fingerprint() -> tuple[object, ...]:
    """Return what a configuration depends on: while it stays equal, so does the configuration."""
    variables = tuple(item for item in os.environ.items() if _RELEVANT.match(item[0]) or _PROXIES.match(item[0]))
    return (variables, *(path.stat().st_mtime_ns for path in _shared_files()))


def resolve() -> S3Config:
    """Return the configuration that the environment and the files it names give.

    Plain keys in the environment, without shared configuration files, are taken without importing botocore.

    Raises:
        CredentialsMissing: No credentials were found within 12 seconds; the message names the chain that was tried.
        InvalidInput: A variable has a value that cannot be honoured.
    """
    upload = s3_arguments.parse(os.environ.get(s3_arguments.VARIABLE))
    unsigned = _unsigned()
    session = _session() if _shared_files() else None
    credentials = None
    if not unsigned:
        credentials = s3_credentials.from_environment(os.environ) or s3_credentials.from_chain()
    settings = _Settings(session)
    endpoint = settings.endpoint()
    return S3Config(
        endpoint=endpoint,
        region=settings.first("region", "AWS_DEFAULT_REGION", "AWS_REGION", setting="region") or "us-east-1",
        addressing_style=settings.addressing_style(),
        verify_tls=not settings.flag("TLS", "MLFLOW_S3_IGNORE_TLS"),
        ca_bundle=settings.first("TLS", "AWS_CA_BUNDLE", setting="ca_bundle"),
        proxies=urllib.request.getproxies_environment(),
        expected_bucket_owner=settings.first("expected bucket owner", "MLFLOW_S3_EXPECTED_BUCKET_OWNER")
        or upload.text("ExpectedBucketOwner"),
        credentials=credentials,
        upload=upload,
        fips=settings.flag("FIPS", "AWS_USE_FIPS_ENDPOINT", setting="use_fips_endpoint"),
        dual_stack=settings.flag("dual stack", "AWS_USE_DUALSTACK_ENDPOINT", setting="use_dualstack_endpoint"),
        origins=settings.origins,
    )


class _Settings:
    """Looks values up in the environment, then in the profile, and notes where it found each."""

    def __init__(self, session: Session | None):
        self.origins: dict[str, str] = {}
        self._session = session
        self._profile: Mapping[str, str] = session.get_scoped_config() if session is not None else {}

    def first(self, name: str, *variables: str, setting: str | None = None) -> str | None:
        for variable in variables:
            if value := os.environ.get(variable):
                self.origins[name] = variable
                return value
        value = self._profile.get(setting) if setting else None
        if value:
            self.origins[name] = "shared configuration file"
        return value or None

    def flag(self, name: str, variable: str, *, setting: str | None = None) -> bool:
        value = (self.first(name, variable, setting=setting) or "").lower()
        if value in _TRUE | _FALSE:
            return value in _TRUE
        raise InvalidInput(f"{variable} must be true or false, not {value!r}.")

    def endpoint(self) -> str | None:
        found = self.first("endpoint", "MLFLOW_S3_ENDPOINT_URL")
        if found is None and not self.flag("endpoint", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
            found = self.first("endpoint", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") or self._profile_endpoint()
        if found is not None and not re.match(r"https?://[^/]", found):
            raise InvalidInput(
                f"{found!r} ({self.origins['endpoint']}) is no URL of an S3 server, such as https://host."
            )
        return found

    def addressing_style(self) -> str:
        style = self.first("addressing style", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE") or "auto"
        if style not in ("auto", "path", "virtual"):
            raise InvalidInput(f"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE must be auto, path or virtual, not {style!r}.")
        return style

    def _profile_endpoint(self) -> str | None:
        if self._session is None:
            return None
        from botocore.configprovider import ConfiguredEndpointProvider

        provider = ConfiguredEndpointProvider(
            full_config=self._session.full_config, scoped_config=self._profile, client_name="s3"
        )
        found: str | None = provider.provide()
        if found:
            self.origins["endpoint"] = "shared configuration file"
        return found


def _session() -> Session:
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    try:
        session.get_scoped_config()
    except BotoCoreError as error:
        raise CredentialsMissing(f"The AWS configuration cannot be used: {error}. Correct AWS_PROFILE.") from error
    return session


def _shared_files() -> list[Path]:
    named = (os.environ.get(variable) or default for variable, default in _FILES.items())
    # Without HOME and an entry for the user there is no such folder, and expanduser says so by leaving the "~".
    return [path for text in named if (path := Path(os.path.expanduser(text))).is_file()]


def _unsigned() -> bool:
    version = os.environ.get(_SIGNATURE) or "s3v4"
    if version.lower() not in ("s3v4", "unsigned"):
        raise InvalidInput(f"{_SIGNATURE} must be s3v4 or unsigned, not {version!r}.")
    return version.lower() == "unsigned"
