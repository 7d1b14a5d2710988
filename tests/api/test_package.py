"""`import mlflow_versioned_store as mvs`: light, and complete."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mlflow_versioned_store as mvs

HEAVY = ("boto3", "botocore", "duckdb", "fsspec", "mlflow", "msgspec", "numpy", "obstore", "pandas", "zstandard")


def _heavy_after(code: str) -> list[str]:
    """Return which heavy packages a fresh process has imported after `code`."""
    program = f"{code}\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_import_is_light() -> None:
    """Importing the package imports nothing but the package itself."""
    assert _heavy_after("import mlflow_versioned_store as mvs; mvs.errors") == []


def test_using_it_imports_what_is_used() -> None:
    """A local store needs neither MLflow nor the clients of other stores."""
    code = (
        "import mlflow_versioned_store as mvs\n"
        f"root = mvs.open_root('versioned-memory://light/1/{'a' * 32}/artifacts', create=True)\n"
        "root.upload(b'1', 'a'); root.restore('a@v1'); root.list(); root.read_bytes('a')"
    )
    assert set(_heavy_after(code)) <= {"msgspec", "obstore", "zstandard"}


@pytest.mark.parametrize("name", mvs.__all__)
def test_every_name_is_there(name: str) -> None:
    """What the package says that it offers, it has."""
    assert getattr(mvs, name).__doc__


def test_completion_offers_what_the_package_offers() -> None:
    """Neither modules nor what the package is made with are in the way, whatever was loaded."""
    mvs.open_store  # noqa: B018 - loaded now
    assert dir(mvs) == sorted(mvs.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """What is not there is missing in the usual way."""
    with pytest.raises(AttributeError, match="no_such_name"):
        mvs.no_such_name  # noqa: B018
