#!/usr/bin/env python3
"""systemd understands every line of our units, and finds little in them that is not shut.

`systemd-analyze verify` returns 0 on keys that it does not know, so its words count."""
import pathlib, re, shutil, subprocess, sys, tempfile

source, build = map(pathlib.Path, sys.argv[1:3])
EXPOSURE = 15  # tenths; 100 is wide open

if not shutil.which("systemd-analyze"):
    print("no systemd-analyze here")
    sys.exit(0)


def analyze(*args):
    run = subprocess.run(["systemd-analyze", *args], timeout=60, capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


def expected(line):
    return "Command 'man " in line  # our manual pages need not be installed


bad = 0
services = sorted((source / "systemd").glob("*.service"))
sockets = sorted((source / "systemd").glob("*.socket"))
with tempfile.TemporaryDirectory() as t:
    copies = []
    for unit in (*services, *sockets):
        copies.append(pathlib.Path(t) / unit.name)
        copies[-1].write_text(re.sub(r"/usr/sbin/(cmg-[a-z-]+[a-z])\b",
                                     lambda m: str((build / m[1]).resolve()), unit.read_text()))
    for copy in copies:
        status, _, said = analyze("verify", str(copy))
        wrong = [l for l in said.splitlines() if "cmg-" in l and not expected(l)]
        if wrong:
            print(f"{copy.name}: verify:", *wrong, sep="\n  ")
        bad += bool(wrong)
        if copy.suffix == ".service":
            status, table, said = analyze("security", "--offline=true", "--no-pager",
                                          f"--threshold={EXPOSURE}", str(copy))
            if status:
                print(f"{copy.name}: more than {EXPOSURE / 10} exposed:\n{table}{said}")
            bad += bool(status)
sys.exit(bad != 0 or not services or not sockets)
