"""What this process is configured with, where each value comes from, and which of it nobody else may see."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from mlflow_versioned_store import creating
from mlflow_versioned_store.backends import s3_arguments, s3_config
from mlflow_versioned_store.content import cache
from mlflow_versioned_store.content.workers import memory_from_environment
from mlflow_versioned_store.environment import switch
from mlflow_versioned_store.errors import InvalidInput, VersionedStoreError
from mlflow_versioned_store.settings import Settings, staging_from_environment
from mlflow_versioned_store.wording import without_login

HIDDEN = "[hidden]"

# Variables whose values may be shown, and what holds where they are not set. Nothing that is not here is ever shown.
SHOWN: Mapping[str, str] = {
    "MVS_STORE": "",
    "MVS_CREATE": "on",
    "MVS_MEMORY": "224M",
    "MVS_CACHE": "on",
    "MVS_CACHE_DIR": "",
    "MVS_CACHE_SIZE": "",
    "MVS_DEDUP": "",
    "MVS_DELTA": "",
    "MVS_STAGE_SECONDS": "",
    "MVS_STAGE_BYTES": "",
    "MVS_ALLOWED_REFERENCES": "",
    "MVS_HDFS_NAMENODE": "",
    "MVS_GIT": "on",
    "GIT_COMMIT": "",
    "MLFLOW_TRACKING_URI": "",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "",
    "MLFLOW_S3_ENDPOINT_URL": "",
    "MLFLOW_S3_IGNORE_TLS": "",
    "MLFLOW_S3_EXPECTED_BUCKET_OWNER": "",
    "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "",
    "MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION": "",
    "AWS_PROFILE": "",
    "AWS_CONFIG_FILE": "",
    "AWS_SHARED_CREDENTIALS_FILE": "",
    "AWS_ROLE_ARN": "",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "",
    "AWS_EC2_METADATA_DISABLED": "",
    "AWS_CREDENTIAL_EXPIRATION": "",
    "AWS_ENDPOINT_URL": "",
    "AWS_ENDPOINT_URL_S3": "",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "",
    "AWS_DEFAULT_REGION": "",
    "AWS_REGION": "",
    "AWS_USE_FIPS_ENDPOINT": "",
    "AWS_USE_DUALSTACK_ENDPOINT": "",
    "AWS_CA_BUNDLE": "",
    "AZURE_STORAGE_ACCOUNT": "",
    "AZURE_STORAGE_ACCOUNT_NAME": "",
    "GOOGLE_APPLICATION_CREDENTIALS": "",
    "STORAGE_EMULATOR_HOST": "",
    "HADOOP_CONF_DIR": "",
    "HTTPS_PROXY": "",
    "HTTP_PROXY": "",
    "ALL_PROXY": "",
    "NO_PROXY": "",
}
_SWITCHES = ("MVS_CACHE", "MVS_DEDUP", "MVS_DELTA", "MVS_GIT")
_CACHE_SIZE = "the smaller of 10 GiB and a tenth of the free disk"
# What they set is told with the setting of the store that they stand before.
_SETTINGS = {
    "dedup": "MVS_DEDUP",
    "delta": "MVS_DELTA",
    "stage_seconds": "MVS_STAGE_SECONDS",
    "stage_bytes": "MVS_STAGE_BYTES",
}
_OURS = re.compile(r"(?:MVS|MLFLOW|AWS|AZURE|GOOGLE|HADOOP)_")
_SECRET = re.compile(r"SECRET|TOKEN|PASSW|KEY|CREDENTIAL|SAS|CONNECTION|SIGNATURE|AUTH", re.IGNORECASE)
_SECRET_CHARACTERS_MIN = 4


class Value(NamedTuple):
    """One value of the configuration, in words and without secrets, and where it comes from."""

    name: str
    value: str
    origin: str


def settings_in_words(settings: Settings, changed: Mapping[str, object]) -> list[Value]:
    """Return the settings of a store that say something, as they hold for this process.

    Args:
        settings: What holds.
        changed: What was ever set, as the settings' log tells.
    """
    values = {name: value for name, value in asdict(settings).items() if name != "quotas" and value != ()}
    values |= {f"quota:{experiment}": size for experiment, size in settings.quotas.items()}
    words = [
        Value(name, _in_words(value), "settings of the store" if changed.get(name) is not None else "default")
        for name, value in values.items()
    ]
    return [_overridden(value) for value in words]


def _overridden(setting: Value) -> Value:
    """Return a setting as the environment has it, where that stands before the store's."""
    variable = _SETTINGS.get(setting.name, "")
    value = os.environ.get(variable)
    if not value or (variable in _SWITCHES and not _is_off(variable)):
        return setting
    return Value(setting.name, value, f"environment, {variable}")


def _is_off(variable: str) -> bool:
    # What nobody understands is told by the check of the variables.
    with contextlib.suppress(InvalidInput):
        return not switch(variable)
    return False


def environment() -> list[Value]:
    """Return the variables of this process that decide about stores, and the defaults of those not set."""
    found: list[Value] = []
    for name, default in SHOWN.items():
        spelling = name if name in os.environ else name.lower()
        if os.environ.get(spelling):
            found.append(Value(spelling, without_login(os.environ[spelling]), "environment"))
        elif default:
            found.append(Value(name, default, "default"))
    here = {
        "MVS_CACHE_DIR": cache.default_folder() or "this machine has no place for one",
        "MVS_CACHE_SIZE": _CACHE_SIZE,
    }
    found += [Value(name, value, "default") for name, value in here.items() if not os.environ.get(name)]
    others = sorted(name for name in os.environ if _OURS.match(name) and name not in SHOWN)
    return found + [Value(name, HIDDEN, "environment") for name in others]


def check_variables() -> None:
    """Check that those who read the variables of this package understand their values.

    Raises:
        InvalidInput: One does not; the message names the variable.
    """
    creating.may_create()
    cache.default()
    memory_from_environment()
    staging_from_environment(Settings())
    for name in _SWITCHES:
        switch(name)


def connection(kind: str) -> list[Value]:
    """Return how stores of a kind ("s3", "file" …) are reached, as far as more than variables decides about it.

    Raises:
        CredentialsMissing: There are none.
        InvalidInput: A variable has a value that cannot be honoured.
    """
    if kind != "s3":
        return []
    return [Value(name, *found) for name, found in s3_config.resolve().effective().items()]


def redacted(value: Any) -> Any:
    """Return texts, lists and mappings of them with every secret of this process hidden, wherever it occurs."""
    spellings = {spelling for secret in _secrets() for spelling in (secret, quote(secret, safe=""))}
    longest_first = sorted(spellings, key=len, reverse=True)

    def hide(value: Any) -> Any:
        match value:
            case str():
                for secret in longest_first:
                    value = value.replace(secret, HIDDEN)
                return value
            case dict():
                return {hide(name): hide(item) for name, item in value.items()}
            case list() | tuple():
                return [hide(item) for item in value]
        return value

    return hide(value)


def _secrets() -> set[str]:
    found: list[str] = []
    for name, value in os.environ.items():
        if _SECRET.search(name) and name not in SHOWN:
            found += [value, *_parts(value)]
        elif name == s3_arguments.VARIABLE:
            found += re.findall(r'"SSECustomerKey\w*"\s*:\s*"([^"]+)"', value)
        if "://" in value:
            found += [*re.findall(r"://[^/@\s:]*:([^/@\s]+)@", value), *_parts(value)]
    try:
        credentials = s3_config.resolve().credentials
        keys = credentials.keys() if credentials is not None else None
    except VersionedStoreError:
        # Keys that cannot be had are nowhere else either.
        keys = None
    if keys is not None:
        found += [keys.access_key, keys.secret_key, keys.token or ""]
    return {text for text in found if len(text) >= _SECRET_CHARACTERS_MIN}


def _parts(value: str) -> list[str]:
    """Return the secrets inside a connection string, a signature or a URL: "AccountKey=…;…", "sv=…&sig=…"."""
    items = [item.partition("=") for item in re.split("[;&?]", value)]
    return [
        spelling
        for name, _, text in items
        if name == "sig" or _SECRET.search(name)
        for spelling in (text, unquote(text))
    ]


def _in_words(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(str, value))
    return str(value)
