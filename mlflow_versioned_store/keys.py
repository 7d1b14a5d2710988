"""Every key of a store, spelled and parsed here and nowhere else.

Keys are relative to the store's own location and use "/" between components. What comes from outside
(artifact roots, domains) is percent-encoded component by component:

    log("1/0af…/artifacts")      _mvs/log/1/0af…/artifacts
    log("_private/x y")          _mvs/log/%5Fprivate/x%20y         a leading "_" is ours
    log("")                      _mvs/log/_root                    the store's own root
    commit(log(…), 3)            _mvs/log/…/_c/999999999997        newest first in an ordered listing
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, unquote

from mlflow_versioned_store.errors import InvalidInput

RESERVED = "_mvs"
MARKER = f"{RESERVED}/store.json"
SETTINGS_LOG = f"{RESERVED}/settings"
LOGS = f"{RESERVED}/log"
DATA = f"{RESERVED}/data"
GC = f"{RESERVED}/gc"
MARKS = f"{GC}/marks"
PROBES = f"{RESERVED}/probe"
VERSIONS_WITNESS = f"{SETTINGS_LOG}/versions"

COMPONENT_BYTES_MAX = 255
COMMIT_NUMBER_MAX = 10**12 - 1
_COMMITS = 10**12
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT_NAME = re.compile(r"[0-9]{12}")
_TIME_MAX_MS = 10**14
_DATA_FOLDERS = frozenset({"packs", "indexes", "hooks"})
_LOG_FOLDERS = {"_c": "commits", "_k": "checkpoints", "_p": "parts"}


def encode_component(name: str) -> str:
    """Return the key component for `name`: percent-encoded, at most 255 bytes, never "." or ".." or "_…".

    A component that would be longer is replaced by "%" and its SHA-256, which no encoding produces.
    """
    encoded = quote(name, safe="")
    if encoded[:1] in (".", "_") and (encoded[0] == "_" or encoded in (".", "..")):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    encoded = encoded.replace("~", "%7E")
    if len(encoded) > COMPONENT_BYTES_MAX:
        return "%" + hashlib.sha256(name.encode()).hexdigest()
    return encoded


def decode_component(component: str) -> str | None:
    """Return the name that `component` encodes, or None where only its hash was kept."""
    if len(component) == 65 and component[0] == "%" and _DIGEST.fullmatch(component[1:]):
        return None
    return unquote(component)


def encode_path(path: str) -> str:
    """Return `path` with each component encoded; the empty path stays empty."""
    return "/".join(encode_component(part) for part in path.split("/")) if path else ""


def log(artifact_root: str) -> str:
    """Return the folder of an artifact root's log; "" is the store's own root."""
    return f"{LOGS}/{encode_path(artifact_root) if artifact_root else '_root'}"


def commits(log_folder: str) -> str:
    """Return the folder that holds a log's commits and nothing else."""
    return f"{log_folder}/_c"


def commit(log_folder: str, number: int) -> str:
    """Return the key of commit `number` (1 to 10^12 − 1)."""
    if not 1 <= number <= COMMIT_NUMBER_MAX:
        raise InvalidInput(f"A commit number lies between 1 and {COMMIT_NUMBER_MAX}, not {number}.")
    return f"{commits(log_folder)}/{_COMMITS - number:012d}"


def commit_number(key: str) -> int | None:
    """Return the number of the commit at `key`, or None where the key is no commit's."""
    folder, _, name = key.rpartition("/")
    if not folder.endswith("/_c") or not _COMMIT_NAME.fullmatch(name):
        return None
    number = _COMMITS - int(name)
    return number if 1 <= number <= COMMIT_NUMBER_MAX else None


def log_of_commit(key: str) -> str | None:
    """Return the folder of the artifact root's log that has the commit at `key`; None for another key."""
    folder, found, _ = key.rpartition("/_c/")
    return folder if found and folder.startswith(f"{LOGS}/") and commit_number(key) is not None else None


def root_of_log(folder: str) -> str | None:
    """Return the artifact root whose log is in `folder`, or None where only the hash of a name was kept."""
    encoded = folder.removeprefix(f"{LOGS}/")
    if encoded == "_root":
        return ""
    names = [decode_component(component) for component in encoded.split("/")]
    return None if None in names else "/".join(name for name in names if name is not None)


def checkpoint(log_folder: str, number: int, digest: str) -> str:
    """Return the key of a checkpoint of the log up to commit `number`."""
    return f"{log_folder}/_k/{_COMMITS - number:012d}-{_digest(digest)}"


def part(log_folder: str, digest: str) -> str:
    """Return the key of a part of a large state or commit."""
    return f"{log_folder}/_p/{_digest(digest)}"


def domain_folder(domain: str) -> str:
    """Return the folder of a deduplication domain."""
    if not domain:
        raise InvalidInput("A deduplication domain needs a name.")
    return f"{DATA}/{encode_component(domain)}"


def pack(domain: str, digest: str) -> str:
    """Return the key of a pack."""
    return f"{domain_folder(domain)}/packs/{_digest(digest)[:2]}/{digest}"


def index(domain: str, digest: str) -> str:
    """Return the key of an index."""
    return f"{domain_folder(domain)}/indexes/{_digest(digest)[:2]}/{digest}"


def hooks(domain: str, fingerprint: int) -> str:
    """Return the folder of the hooks for a 64-bit tail fingerprint."""
    return f"{domain_folder(domain)}/hooks/{fingerprint:016x}"


def hook(domain: str, fingerprint: int, time_ms: int, index_digest: str) -> str:
    """Return the key of a hook; newer ones (milliseconds since 1970) sort first."""
    return f"{hooks(domain, fingerprint)}/{_TIME_MAX_MS - time_ms:014d}-{_digest(index_digest)}"


def hook_index(key: str) -> str | None:
    """Return the index digest that the hook at `key` leads to, or None where the key is no hook."""
    digest = key.rpartition("-")[2]
    return digest if _DIGEST.fullmatch(digest) else None


def native_hint(domain: str, size: int, beginning: str) -> str:
    """Return the key that tells of a native object of `size` bytes whose first block has the digest `beginning`."""
    return f"{domain_folder(domain)}/natives/{_digest(beginning)[:2]}/{size}-{beginning}"


def mark(domain: str, digest: str) -> str:
    """Return the key that marks a pack for collection."""
    return f"{MARKS}/{encode_component(domain)}-{_digest(digest)}"


def kind(key: str) -> str:
    """Return what is kept at `key`: "packs", "indexes", "hooks", "commits", "checkpoints", "parts" or "marker".

    What lies outside of our own folder are "artifacts"; anything else goes by the name of its folder in ours.
    """
    folder, _, rest = key.partition("/")
    if folder != RESERVED:
        return "artifacts"
    section, *below = rest.split("/")
    if section == "data" and len(below) > 1 and below[1] in _DATA_FOLDERS:
        return below[1]
    if len(below) > 1 and (found := _LOG_FOLDERS.get(below[-2])) is not None:
        return found
    return "marker" if key == MARKER else section


def is_digest(text: object) -> bool:
    """Tell whether `text` is a 256-bit digest in lower-case hex."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _digest(text: str) -> str:
    # Digests arrive from records that somebody else wrote; anything but hex could climb out of the folder.
    if not is_digest(text):
        raise InvalidInput(f"{text!r} is not a digest (64 lower-case hex digits).")
    return text
