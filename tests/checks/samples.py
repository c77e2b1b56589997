#!/usr/bin/env python3
"""conf/*.ini are what --print-sample prints, load as they are and with every line taken in, and
--print-config says the same again when it is loaded. The manual is valid scdoc, if that is here."""
import pathlib, re, shutil, subprocess, sys, tempfile

source, build = map(pathlib.Path, sys.argv[1:3])
bad = 0


def wrong(text):
    global bad
    print(text)
    bad += 1


def run(program, *args, **more):
    return subprocess.run([program, *args], timeout=30, capture_output=True, text=True, **more)


def files_of(text):
    """Every value of a key that names a file."""
    return re.findall(r"^#?(?:certificates?|key|ca-file|password-file|files|block-list|key-file|sas-file) = (\S+)$", text, re.M)


def load(program, folder, text):
    ini = folder / "x.ini"
    ini.write_text(text)
    first = run(program, "--config", str(ini), "--print-config")
    if first.returncode:
        return wrong(f"{program.name}: {first.stderr}")
    ini.write_text(first.stdout)
    again = run(program, "--config", str(ini), "--print-config")
    if again.stdout != first.stdout:
        wrong(f"{program.name}: --print-config differs when loaded again: {again.stderr}")


for name in "cmg-connection-point", "cmg-gateway":
    program = (build / name).resolve()
    text = run(program, "--print-sample").stdout
    if text != (source / "conf" / f"{name}.ini").read_text():
        wrong(f"conf/{name}.ini is not what {name} --print-sample prints")
    for n, line in enumerate(text.splitlines(), 1):
        if len(line) > 78:
            wrong(f"conf/{name}.ini:{n}: longer than 78")
    with tempfile.TemporaryDirectory(prefix="cmg") as t:
        folder = pathlib.Path(t)
        for f in files_of(text):
            (folder / f).write_text("not looked into\n")
            (folder / f).chmod(0o600)
        load(program, folder, text)
        load(program, folder, re.sub(r"^#(?! |$)", "", text, flags=re.M))
    manual = run(program, "--print-manual").stdout
    if shutil.which("scdoc"):
        made = run("scdoc", input=f"{name}.ini(5)\n\n{manual}")
        if made.returncode or f"[log]" not in made.stdout:
            wrong(f"{name} --print-manual: {made.stderr}")
sys.exit(bad != 0)
