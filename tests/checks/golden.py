#!/usr/bin/env python3
"""What the daemons say to each tests/golden/conf/CASE/in.ini is what its file `expected` holds.

CASE begins with the program: gateway-... or point-... Beside in.ini lie cert.pem, ca.pem,
own.key (for the service only) and open.key (for all). With a third argument, "update", the
expectations are written anew: read the diff before you commit it.
"""
import pathlib, re, shutil, subprocess, sys, tempfile

source, build = map(pathlib.Path, sys.argv[1:3])
update = sys.argv[3:] == ["update"]
programs = {"gateway": build / "cmg-gateway", "point": build / "cmg-connection-point"}
FILES = {"cert.pem": 0o644, "ca.pem": 0o644, "own.key": 0o600, "open.key": 0o644}


def answer(program, folder):
    run = subprocess.run([program, "--config", "in.ini", "--check"], cwd=folder, timeout=30,
                         stdin=subprocess.DEVNULL, capture_output=True)
    said = (run.stdout + run.stderr).decode().replace(str(folder), "DIR")
    said = re.sub(r"owner \d+, group \d+", "owner N, group N", said)
    return f"{said}exit {run.returncode}\n"


bad = 0
cases = sorted(p for p in (source / "tests/golden/conf").iterdir() if p.is_dir())
with tempfile.TemporaryDirectory(prefix="cmg") as t:
    folder = pathlib.Path(t)
    for name, mode in FILES.items():
        (folder / name).write_text("not looked into\n")
        (folder / name).chmod(mode)
    for case in cases:
        shutil.copyfile(case / "in.ini", folder / "in.ini")
        said = answer(programs[case.name.split("-")[0]].resolve(), folder)
        expected = case / "expected"
        if update:
            expected.write_text(said)
        elif said != expected.read_text():
            print(f"{case.name}:\n  expected: {expected.read_text()}  got:      {said}")
            bad += 1
print(f"{len(cases)} cases, {bad} wrong")
sys.exit(bad != 0 or not cases)
