"""The wheel: what is in it, and that MLflow finds the plugin in it."""

from __future__ import annotations

import configparser
import email
import shutil
import subprocess
import sys
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "mlflow_versioned_store"
SCHEMES = ("s3", "file", "gs", "az", "hdfs", "memory")
EXTRAS = {"minio", "gcs", "azure", "hdfs", "demo", "test", "dev"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from a clean copy of the source."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(REPOSITORY / PACKAGE, source / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    # Without isolation nothing is downloaded: the build system is one of the test requirements.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(source)], check=True)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(_in_dist_info(archive, "METADATA")))


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every file of the package is in the wheel; tests and tools are not."""
    files = [path for path in (REPOSITORY / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    source = {path.relative_to(REPOSITORY).as_posix() for path in files}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == source


def test_every_folder_of_code_is_a_package() -> None:
    """A folder with modules has an `__init__.py`: without it the wheel would lack the folder."""
    folders = {path.parent for path in (REPOSITORY / PACKAGE).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_wheel_registers_every_scheme(wheel: Path) -> None:
    """MLflow finds one entry point a URI scheme, all of the same light function."""
    entry_points = configparser.ConfigParser(delimiters=("=",))
    with zipfile.ZipFile(wheel) as archive:
        entry_points.read_string(archive.read(_in_dist_info(archive, "entry_points.txt")).decode())
    expected = {f"versioned-{scheme}": f"{PACKAGE}._entry:artifact_repository" for scheme in SCHEMES}
    assert dict(entry_points["mlflow.artifact_repository"]) == expected


def test_wheel_installs_the_command(wheel: Path) -> None:
    """`mvs` is a script of the wheel."""
    entry_points = configparser.ConfigParser(delimiters=("=",))
    with zipfile.ZipFile(wheel) as archive:
        entry_points.read_string(archive.read(_in_dist_info(archive, "entry_points.txt")).decode())
    assert dict(entry_points["console_scripts"]) == {"mvs": f"{PACKAGE}.cli:main"}


def test_wheel_says_what_it_needs_and_allows(metadata: Message) -> None:
    """Python version, licence, extras and description are in the metadata: setup.cfg was read."""
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert set(metadata.get_all("Provides-Extra", [])) >= EXTRAS
    description = metadata.get_payload(decode=True)
    assert isinstance(description, bytes)
    assert description.decode().strip() == (REPOSITORY / "README.md").read_text(encoding="utf-8").strip()


def test_entry_point_loads_from_a_bare_install(wheel: Path, tmp_path: Path) -> None:
    """In an environment with nothing but the wheel, and far from the source, the entry point loads.

    So it imports none of the dependencies: MLflow loads the entry points of every plugin whenever it starts.
    """
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True)
    script = (
        "from importlib.metadata import entry_points\n"
        "found = entry_points(group='mlflow.artifact_repository')\n"
        "print(*sorted(f'{point.name}={point.load().__name__}' for point in found))\n"
    )
    output = subprocess.run([python, "-c", script], cwd=elsewhere, check=True, capture_output=True, text=True).stdout
    assert output.split() == sorted(f"versioned-{scheme}=artifact_repository" for scheme in SCHEMES)


def _in_dist_info(archive: zipfile.ZipFile, name: str) -> str:
    return next(member for member in archive.namelist() if member.endswith(f".dist-info/{name}"))
