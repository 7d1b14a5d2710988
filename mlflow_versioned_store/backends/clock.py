"""The time by a server's own clock."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from datetime import datetime
from email.utils import parsedate_to_datetime

from mlflow_versioned_store.errors import Unavailable

_SECONDS_MAX = 10


def server_time(
    url: str, *, verify_tls: bool = True, ca_bundle: str | None = None, proxy: str | None = None
) -> datetime:
    """Return the Date of a server's answer, to the second; what else it answers does not matter. One request.

    Raises:
        Unavailable: No answer, or none with a date.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    if not verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context),
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}),
    )
    try:
        # The URL is the store's own, from the configuration.
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        with opener.open(request, timeout=_SECONDS_MAX) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as refusal:
        date = refusal.headers.get("Date")
    except OSError as error:
        raise Unavailable(f"The server at {url} does not tell the time: {error}. Try again later.") from error
    if date is None:
        raise Unavailable(f"The server at {url} does not tell the time: its answers carry no date.")
    return parsedate_to_datetime(date)
