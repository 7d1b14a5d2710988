"""The recorded session of the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SESSION = REPOSITORY / "docs/session.md"
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
PROMPT = "$ "
# What differs from one time to the next, and what stands for it in the page.
VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "2026-11-24 10:00:00"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"), "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
    (re.compile(r"(?<= store )[0-9a-f]{32}"), "7c1e0d5b94a2486f8e3b5d2c6a1f0e97"),
)
HOME = "/home/ada/churn"


def replay(page: str, folder: Path) -> str:
    """Return a page in which every command is followed by what it prints now, run one after another in a folder."""
    commands = [line for block in BLOCK.findall(page) for line in block.splitlines() if line.startswith(PROMPT)]
    printed = _printed([line.removeprefix(PROMPT) for line in commands], folder)

    def typed(block: re.Match[str]) -> str:
        lines = [line for line in block[0].splitlines() if line.startswith(PROMPT)]
        return "".join(f"{line}\n{next(printed)}" for line in lines)

    return BLOCK.sub(typed, page)


def _printed(commands: list[str], folder: Path) -> Iterator[str]:
    """Yield what each of the commands prints, all in one shell."""
    (folder / "bin").mkdir()
    tool = folder / "bin/mvs"
    # Run as a script, so that commits record the program as it is installed.
    tool.write_text(f"#!{sys.executable}\nfrom mlflow_versioned_store.cli import main\nmain()\n")
    tool.chmod(0o755)
    path = os.pathsep.join([str(tool.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "LOGNAME": "ada", "MVS_GIT": "off"}
    home = folder / "churn"
    home.mkdir(exist_ok=True)
    end = "the end of a command"
    script = "".join(f"{command}\necho '{end}'\n" for command in commands)
    # Both outputs are one, as on a terminal.
    text = subprocess.check_output(
        ["sh"], input=script, cwd=home, env=environment, text=True, stderr=subprocess.STDOUT
    ).replace(str(home), HOME)
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    yield from text.split(f"{end}\n")


def test_the_session_is_what_is_printed(tmp_path: Path) -> None:
    """Every command of docs/session.md prints what the page says, but for times and the store's id."""
    page = SESSION.read_text(encoding="utf-8")
    assert replay(page, tmp_path) == page


if __name__ == "__main__":
    # Writes the page anew: python -m tests.cli.test_session FOLDER
    SESSION.write_text(replay(SESSION.read_text(encoding="utf-8"), Path(sys.argv[1])), encoding="utf-8")
