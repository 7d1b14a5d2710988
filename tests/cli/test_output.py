"""What commands print, on terminals and elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mlflow_versioned_store.cli import output
from tests.cli.conftest import Mvs, Put

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

SCRIPT = """
import click
from mlflow_versioned_store.cli.output import Column, table

@click.command()
def show():
    columns = [Column("SIZE", "right"), Column("TIME", dim=True, spare=True), Column("NAME")]
    table(columns, [("12 B", "2026-11-24", "a.txt"), ("1.20 MiB", "2026-11-25", "[red]b[/red].txt"), ("", "", "日本/")])
show()
"""
PLAIN = """\
    SIZE  TIME        NAME
    12 B  2026-11-24  a.txt
1.20 MiB  2026-11-25  [red]b[/red].txt
                      日本/
"""


def on_terminal(columns: int, script: str = SCRIPT, **environment: str) -> str:
    """Return what a script prints on a terminal of this width."""
    near, far = pty.openpty()
    variables = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment}
    with subprocess.Popen([sys.executable, "-c", script], stdout=far, stderr=far, env=variables):
        os.close(far)
        printed = b""
        while block := _read(near):
            printed += block
    os.close(near)
    return printed.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux tells the end
        return b""


def test_tables_elsewhere_are_plain_text() -> None:
    """What is piped has neither colours nor a width, and brackets mean nothing."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == PLAIN


def test_terminals_show_colours_unless_asked_not_to() -> None:
    """The header steps back on a terminal, and errors begin in red; NO_COLOR makes all plain."""
    assert "\x1b[2mTIME\x1b[0m" in on_terminal(80)
    script = "from mlflow_versioned_store.cli import main; main(['versions', 'x'])"
    assert on_terminal(80, script).startswith("\x1b[31mError:\x1b[0m 'x' is no URI")
    assert on_terminal(80, script, NO_COLOR="1").startswith("Error: 'x' is no URI")


def test_narrow_terminals_leave_out_what_can_be_spared() -> None:
    """A column that may go is left out before a line would wrap."""
    assert "2026" in on_terminal(40)
    narrow = on_terminal(30)
    assert "2026" not in narrow
    assert "1.20 MiB  [red]b[/red].txt" in narrow


def test_transfers_show_a_bar_while_they_last() -> None:
    """On a terminal, with the name as it is; it goes when the transfer is over, and elsewhere there is none."""
    script = (
        "import click, time\n"
        "from mlflow_versioned_store.cli.progress import transfer\n"
        "@click.command()\n"
        "def show():\n"
        "    with transfer('[red]a\x1b', 1000) as progress:\n"
        "        if progress: progress.add(500); time.sleep(0.3)\n"
        "show()"
    )
    drawn = on_terminal(80, script)
    assert "[red]a\\x1b" in drawn
    assert "500/1,000 bytes" in drawn
    assert drawn.endswith("\x1b[2K")
    silent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert silent.stdout + silent.stderr == ""


def test_names_cannot_speak_to_the_terminal(mvs: Mvs, root: str, put: Put) -> None:
    """Control sequences, newlines and what turns the direction of text are shown as escapes, in errors too."""
    put("a\x1b[31m\n\u202eb", b"x")
    for arguments in (["ls", root], ["ls", "-lR", root], ["log", root]):
        told = mvs(*arguments).stdout
        assert r"a\x1b[31m\n\u202eb" in told
        assert "\x1b" not in told
    assert r"\x1b[31m" in mvs("cat", f"{root}/c\x1b[31m", code=6).stderr
    assert mvs.json("ls", root)["entries"][0]["name"] == "a\x1b[31m\n\u202eb"


def test_times_are_in_utc() -> None:
    """Whatever the time zone, people and programs read UTC."""
    time = datetime(2026, 11, 24, 1, 2, 3, 456_000, tzinfo=timezone(timedelta(hours=2)))
    assert output.moment(time) == "2026-11-23 23:02:03"
    assert output.iso(time) == output.iso(int(time.timestamp() * 1000)) == "2026-11-23T23:02:03.456Z"
    assert output.iso(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"
