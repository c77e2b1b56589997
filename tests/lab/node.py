"""Programs for Node.js: those of the folder `node`, on the packages that its package-lock.json
names. scripts/lib/setup.sh installs them; CMG_NPM says where they are if not in build/npm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .process import Process
from .waiting import LabError

SCRIPTS = Path(__file__).resolve().parent / "node"


def packages() -> Path:
    """The folder that has node_modules."""
    default = Path(__file__).resolve().parents[2] / "build" / "npm"
    folder = Path(os.environ.get("CMG_NPM") or default).resolve()
    if not (folder / "node_modules").is_dir():
        raise LabError(f"no npm packages in {folder}: run scripts/test, or set CMG_NPM")
    return folder


def argv(script: str, *arguments: str | Path) -> list[str | Path]:
    """The command line of a script of ours; its first argument says where the packages are. The
    second option is for Node.js 18, which Debian 12 has."""
    return ["node", "--no-warnings", "--experimental-global-webcrypto", SCRIPTS / script, packages(), *arguments]


def process(name: str, script: str, *arguments: str | Path, log: Path) -> Process:
    return Process(name, argv(script, *arguments), log)


def run(script: str, text: str) -> str:
    """Runs a script to its end, with `text` as its standard input."""
    done = subprocess.run([str(word) for word in argv(script)], input=text, capture_output=True,
                          text=True, timeout=60)
    if done.returncode != 0:
        raise LabError(f"{script}: {done.stderr.strip()}")
    return done.stdout
