#!/usr/bin/env python3
"""Every command of a ```sh block in README.md and docs/*.md is run here, or is the like of one that
a test runs. RULES says which; a command that no rule knows fails the check, and so does a rule that
names a test which is gone. What is not run is looked at at least: the options of our programs, the
presets, and the files that it names must be there.

Commands that are run share a folder with the others of their scene, in the order of the document."""
import pathlib, re, subprocess, sys, tempfile

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
GUID = "6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10"
# Stands where a reader puts something of his own, and where the real thing needs a machine.
INSTEAD = {"CLIENT-GUID": GUID, "UNIQUE-ID": GUID, "=GUID": f"={GUID}", "/etc/cmg/": "etc/"}

BASICS = """sudo() { "$@"; }
mkdir etc
"""
SCENES = {  # what is there before the first command of each
    "readme": "", "pki": "", "hand": "",
    "daemon": "cmgctl pki init --service=cmg.example.com --connection-point=cp1.corp.example.com "
              "--site=PS1 --management-point=https://mp1.corp.example.com --clients=1 first 2>&-\n"
              "cmg-gateway() { command cmg-gateway --config first/gateway/cmg-gateway.ini \"$@\"; }\n",
}
INTEGRATION = "tests/integration/"
PACKAGES = "needs root and systemd, and is the like of", "scripts/lib/setup.sh", "apt-get"

# (document, how a command begins): a scene, or (why it is not run, the test, what stands in it)
RULES = [
    ("README", r"cmgctl pki init|cd first-site|token=", "readme"),
    ("operations", r"cmgctl pki init|cmgctl token new|cmgctl pki (revoke|crl)", "pki"),
    ("operations", r"(sudo )?cmgctl token (block|list)", "pki"),
    ("operations", r"umask 077|mkdir pki|ca(\(\)| )|leaf(\(\)| )|openssl (verify|x509)", "hand"),
    ("", r"(sudo )?cmg-gateway --(check|print-)", "daemon"),
    ("", r"(sudo )?cmgctl (status|analyze|traffic|reload|drain|log-level|diag|completion)|source <",
     ("needs a daemon", INTEGRATION + "98_ctl.py", "diag")),
    ("", r"cmgctl content (publish|list|remove)",
     ("needs blob storage", INTEGRATION + "79_publish.py", "content")),
    ("", r"url=\$\(cmgctl content token", ("needs a site", INTEGRATION + "78_content.py", "token")),
    ("", r"ask(\(\)| )", ("needs a daemon", INTEGRATION + "91_admin.py", "log-level")),
    ("", r"curl ", ("needs a site", INTEGRATION + "71_tokens.py", "MPLIST|get")),
    ("", r"openssl s_client", ("needs a site", INTEGRATION + "10_roads.py", "tcp")),
    ("", r"(sudo )?(systemctl|journalctl) ?", ("needs systemd", "tests/checks/units.py", "systemd")),
    ("", r"sudo (systemd-(sysusers|tmpfiles)|cmake --install|sh -c 'chgrp|install|apt|dpkg)",
     ("needs root", "tests/checks/units.py", "systemd")),
    ("", r"sudo apt-get", PACKAGES),
    ("", r"cmake --(preset|build)|mkdir -p build", ("is what ran before", "scripts/test", "build asan")),
    ("", r"scripts/", ("takes too long", "scripts/test", "ctest")),
    ("", r"ctest|build/asan/tests/|(CMG_BUILD=\S+ )?(/usr/bin/)?python3 ",
     ("is what runs this", "scripts/test", "ctest")),
    ("", r"build/fuzz/", ("takes a fuzz build", "tests/fuzz/replay.c", "main")),
    ("", r"build/asan/cmg-\S+ --print-sample", ("writes", "tests/checks/samples.py", "print-sample")),
    ("", r"grep ", ("reads the demo's logs", "scripts/demo", "demo")),
]
bad = 0


def wrong(text):
    global bad
    print(text)
    bad += 1


def commands(block):
    """Whole commands, as bash would read them."""
    so_far = ""
    for line in block.splitlines():
        so_far += line + "\n"
        if so_far.rstrip("\n").endswith("\\"):
            continue
        if not subprocess.run(["bash", "-n"], input=so_far, text=True, capture_output=True).returncode:
            text = re.sub(r"^\s*#.*\n|[ \t]+# .*$", "", so_far, flags=re.M).strip()
            if text:
                yield text
            so_far = ""
    if so_far:
        wrong(f"bash does not understand: {so_far}")


def all_commands():
    for path in [source / "README.md", *sorted((source / "docs").glob("*.md"))]:
        for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.S | re.M):
            for command in commands(block):
                yield path.relative_to(source), command


def rule_of(path, command):
    for document, begin, how in RULES:
        if document in str(path) and re.match(begin, command):
            return how
    return None


# --- what is not run ----------------------------------------------------------------------------

helps = {}


def options_of(*words):
    if words not in helps:
        done = subprocess.run([build / words[0], *words[1:], "--help"], capture_output=True, text=True)
        helps[words] = set(re.findall(r"--[a-z-]+", done.stdout)) if done.returncode == 0 else None
    return helps[words]


def check_ours(where, command):
    for m in re.finditer(r"(?:^|[;|(&]\s*|sudo )(cmgctl|cmg-gateway|cmg-connection-point)( [a-z-]+)?( [a-z-]+)?"
                         r"([^|;\n)]*)", command.replace("\\\n", " ")):
        program, *verbs = m[1], *[w.strip() for w in (m[2], m[3]) if w and not w.startswith(" -")]
        if program == "cmgctl" and not verbs or program != "cmgctl" and " --" not in m[0]:
            continue
        known = options_of(program, *verbs) or options_of(program, *verbs[:1]) \
            if program == "cmgctl" else options_of(program)
        if known is None:
            wrong(f"{where}: there is no {' '.join([program, *verbs])}: {command}")
            continue
        for option in re.findall(r" (--[a-z-]+)", m[0]):
            if option not in known:
                wrong(f"{where}: {' '.join([program, *verbs])} has no {option}: {command}")


def check_named(where, command):
    presets = (source / "CMakePresets.json").read_text()
    for preset in re.findall(r"--preset (\w+)", command):
        if f'"{preset}"' not in presets:
            wrong(f"{where}: there is no preset {preset}")
    for file in re.findall(r"(?<![\w/.-])((?:scripts|tests|conf)/[\w./-]+)", command):
        if not (source / file).exists():
            wrong(f"{where}: there is no {file}")
    for name in re.findall(r"build/\w+/tests/((?:test|fuzz)_\w+)", command):
        if not list(source.glob(f"tests/*/{name}.c")):
            wrong(f"{where}: there is no test {name}")


def check_test(why, test, needle):
    path = source / test
    if not path.exists() or not re.search(needle, path.read_text()):
        wrong(f"{test}, which should run what {why}, is not there or has no {needle}")


# --- what is run --------------------------------------------------------------------------------

def play(scene, script):
    with tempfile.TemporaryDirectory(prefix="cmg") as folder:
        before = BASICS + SCENES[scene]
        for a, b in INSTEAD.items():
            script = script.replace(a, b)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", before + script], cwd=folder, timeout=120, text=True,
            stdin=subprocess.DEVNULL, capture_output=True,
            env={"PATH": f"{build}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": folder})
        if done.returncode:
            wrong(f"scene {scene}: status {done.returncode}\n{done.stderr[-1500:]}\nof:\n{script}")


scripts = {scene: "" for scene in SCENES}
counts = {"run": 0, "not run": 0}
for where, command in all_commands():
    how = rule_of(where, command)
    if how is None:
        wrong(f"{where}: no rule of {sys.argv[0]} says how this is tested: {command}")
        continue
    check_ours(where, command)
    check_named(where, command)
    if isinstance(how, str):
        # A certificate of the client that gets lost.
        if "pki revoke" in command:
            scripts[how] += "cp pki/clients/client-1.pem pc1.pem\n"
        scripts[how] += command + "\n"
    counts["run" if isinstance(how, str) else "not run"] += 1
for _, _, how in RULES:
    if not isinstance(how, str):
        check_test(*how)
for scene, script in scripts.items():
    play(scene, script)
print(f"{counts['run']} commands run, {counts['not run']} whose like a test runs, {bad} wrong")
sys.exit(bad != 0)
