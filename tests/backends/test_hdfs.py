"""Where HDFS is looked for."""

from __future__ import annotations

import sys
import types
from typing import Any

import fsspec
import pytest

from mlflow_versioned_store.backends.hdfs import open_hdfs
from mlflow_versioned_store.errors import InvalidInput

VARIABLES = ("MVS_HDFS_NAMENODE", "HADOOP_CONF_DIR")


class Recorder(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Stands in for hdfs-native, and notes which name node it was opened for."""

    protocol = "hdfs"
    cachable = False
    opened: tuple[str | None, int | None]

    def __init__(self, host: str | None = None, port: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        Recorder.opened = (host, port)


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable is set, and no library looks for a server."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    module = types.ModuleType("hdfs_native.fsspec")
    module.HdfsFileSystem = Recorder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hdfs_native", types.ModuleType("hdfs_native"))
    monkeypatch.setitem(sys.modules, "hdfs_native.fsspec", module)


@pytest.mark.parametrize(
    ("variables", "opened", "location"),
    [
        ({"MVS_HDFS_NAMENODE": "node:9000"}, ("node", 9000), "hdfs://node:9000"),
        ({"MVS_HDFS_NAMENODE": "hdfs://service/"}, ("service", None), "hdfs://service"),
        ({"HADOOP_CONF_DIR": "/etc/hadoop"}, (None, None), "hdfs://"),
        ({"HADOOP_CONF_DIR": "/etc/hadoop", "MVS_HDFS_NAMENODE": "node"}, ("node", None), "hdfs://node"),
    ],
)
def test_the_name_node_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    opened: tuple[str | None, int | None],
    location: str,
) -> None:
    """Ours names it; without ours Hadoop's configuration does, which the library reads itself."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_hdfs().location == location
    assert Recorder.opened == opened


def test_without_either_the_message_names_both() -> None:
    """No server is guessed."""
    with pytest.raises(InvalidInput, match=r"MVS_HDFS_NAMENODE \(host:port\) or HADOOP_CONF_DIR"):
        open_hdfs()
