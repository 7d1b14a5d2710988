"""`mvs serve-s3`."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import open_tree
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput

if TYPE_CHECKING:
    from mlflow_versioned_store.gateway.access_keys import AccessKey

_log = logging.getLogger("mlflow_versioned_store")
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@_command
@click.argument("stores", nargs=-1, required=True, metavar="[NAME=]URI...")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="The port; 0 is any.")
@click.option("--keys", metavar="FILE", help="Access keys, a line each: KEY SECRET [BUCKET[/PREFIX]...].")
@click.option("--access-log", metavar="FILE", help="Where a line for each read goes; by default to stderr.")
@click.option("--domain", "domains", multiple=True, metavar="NAME", help="A host name that buckets stand in front of.")
@click.option("--tls-certificate", metavar="FILE", help="Speak TLS, with this certificate.")
@click.option("--tls-key", metavar="FILE", help="The certificate's private key.")
def command(
    stores: Sequence[str],
    host: str,
    port: int,
    keys: str | None,
    access_log: str | None,
    domains: Sequence[str],
    tls_certificate: str | None,
    tls_key: str | None,
) -> None:
    """Serve stores as S3 buckets to read from: each version of each path is an object version.

    A bucket is called NAME, by default as the URI ends; it holds what is at and below the URI. Without --keys there is
    one access key, MVS_GATEWAY_ACCESS_KEY with MVS_GATEWAY_SECRET_KEY. It serves until it is interrupted.
    """
    from mlflow_versioned_store.gateway.access_records import AccessRecords
    from mlflow_versioned_store.gateway.app import Gateway
    from mlflow_versioned_store.gateway.bucket import Bucket
    from mlflow_versioned_store.gateway.serving import is_loopback, listen, server

    if tls_key and not tls_certificate:
        raise InvalidInput("--tls-key is the key of a certificate, which --tls-certificate names.")
    named = _named(stores)
    access_keys = _keys(keys)
    buckets = {}
    for name, uri in named.items():
        store, _, path = open_tree(uri)
        buckets[name] = Bucket(name, store, path)
    with contextlib.ExitStack() as closing:
        stream = closing.enter_context(_appended(access_log)) if access_log else sys.stderr.buffer
        gateway = Gateway(buckets, access_keys, AccessRecords(stream), tuple(domains) or ("localhost",))
        running = server(gateway, certificate=tls_certificate, private_key=tls_key)
        listening = closing.enter_context(listen(host, port))
        address = f"[{host}]" if ":" in host else host
        endpoint = f"{'https' if tls_certificate else 'http'}://{address}:{listening.getsockname()[1]}"
        if not is_loopback(host) and not tls_certificate:
            _log.warning(
                "%s is reached from other machines and speaks no TLS: what is read can be read on its way. "
                "Give it --tls-certificate and --tls-key, or put a proxy that speaks TLS in front.",
                endpoint,
            )
        # It stands beside the store: a copy on this disk of all that anybody reads costs half as much as reading it.
        os.environ["MVS_CACHE"] = os.environ.get("MVS_CACHE") or "off"
        _announce(endpoint, named, next(iter(access_keys)))
        running.run(sockets=[listening])


def _named(stores: Sequence[str]) -> dict[str, str]:
    """Return the URIs by the names of their buckets."""
    named: dict[str, str] = {}
    for text in stores:
        name, equals, uri = text.partition("=")
        if not equals or "/" in name:
            name, uri = text.rstrip("/").rpartition("/")[2], text
        if not _BUCKET_NAME.fullmatch(name) or ".." in name:
            raise InvalidInput(
                f"{name!r} is no name of a bucket, which has 3 to 63 of a-z, 0-9, '-' and '.'; name it: NAME={uri}."
            )
        if name in named:
            raise InvalidInput(f"Two buckets are called {name}; name one of them otherwise: NAME={uri}.")
        named[name] = uri
    return named


def _keys(path: str | None) -> dict[str, AccessKey]:
    from mlflow_versioned_store.gateway import access_keys

    found = access_keys.from_file(path) if path else access_keys.from_environment()
    if not found:
        raise InvalidInput(
            f"There is no access key in {path}."
            if path
            else f"Nobody could read: give --keys, or set {access_keys.ACCESS_KEY_VARIABLE} and "
            f"{access_keys.SECRET_KEY_VARIABLE}."
        )
    return found


def _appended(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    try:
        return open(path, "ab")
    except OSError as error:
        raise InvalidInput(f"Nothing can be written to {path}: {error}.") from error


def _announce(endpoint: str, named: dict[str, str], access_key: str) -> None:
    first = next(iter(named))

    def print_text() -> None:
        output.line(f"Serving at {endpoint}, to read from:")
        output.table(
            [output.Column(""), output.Column("")], [(f"s3://{name}", uri) for name, uri in named.items()], header=False
        )
        output.line("With the access key and its secret in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY:")
        output.line(f"aws --endpoint-url {endpoint} s3 ls --recursive s3://{first}/")
        output.line(f'boto3.client("s3", endpoint_url="{endpoint}", aws_access_key_id="{access_key}", …)')

    output.show(
        {"endpoint": endpoint, "buckets": [{"name": name, "uri": uri} for name, uri in named.items()]}, print_text
    )
    sys.stdout.flush()
