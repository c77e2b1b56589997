#!/usr/bin/env python3
"""The documents say what the code does, as far as a machine can tell:

    docs/events.md           every event of src/, with its level and fields, and no other
    docs/configuration.md    the options between its marks are those of --print-manual
    conf/*.ini               have the same options as the manual
    ```ini of any .md        whose first line is "# /etc/cmg/PROGRAM.ini" passes --check
    links of any .md         lead to a file and a heading that are there

With a third argument, "update", docs/configuration.md is written anew."""
import pathlib, re, subprocess, sys, tempfile

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
update = sys.argv[3:] == ["update"]
PROGRAMS = {"cmg-connection-point": "connection point", "cmg-gateway": "gateway"}
bad = 0


def wrong(text):
    global bad
    print(text)
    bad += 1


def run(program, *args):
    return subprocess.run([build / program, *args], timeout=30, capture_output=True, text=True)


# --- events -------------------------------------------------------------------------------------

CALL = re.compile(r'\blog_(error|warn|notice|info|debug)\(\s*"([a-z_.]+)"(.*?)\);', re.S)
BARE = re.compile(r'\bCMG_(ERROR|WARN|NOTICE|INFO|DEBUG),\s*"([a-z_]+\.[a-z_]+)",\s*&(\w+)')
KEY = re.compile(r'KV\("(\w+)"')
FLOORS = {"point": "connection point", "channel": "connection point", "gateway": "gateway"}
LINE = re.compile(r"^- (error|warn|notice|info|debug), (connection point|gateway|both):(.*)$")


def keys(text, file):
    """Those of a call, and of macros of its file that stand in it, as WHO(k) does."""
    for name, body in re.findall(r"^#define (\w+)\(\w+\) (KV\(.*)$", file, re.M):
        text = re.sub(rf"\b{name}\(\w+\)", lambda m: body, text)
    return KEY.findall(text)


def events_of_code():
    found = set()
    for path in sorted((source / "src").rglob("*.c")):
        text = path.read_text()
        who = FLOORS.get(path.parent.name, "both")
        for level, name, rest in CALL.findall(text):
            found.add((name, level, who, frozenset(keys(rest, text))))
        for level, name, kv in BARE.findall(text):
            fields = re.findall(rf"struct cmg_kv {kv} = (KV\(.*)", text)
            found.add((name, level.lower(), who, frozenset(KEY.findall(" ".join(fields)))))
    return found


def events_of_document(path):
    found, name = set(), None
    for n, line in enumerate(path.read_text().splitlines(), 1):
        if m := re.match(r"### `?([a-z_.]+)`?$", line):
            name = m[1]
        elif m := LINE.match(line):
            if not name:
                wrong(f"{path}:{n}: fields of no event")
            found.add((name, m[1], m[2], frozenset(re.findall(r"`(\w+)`", m[3]))))
    return found


def merged(events):
    """An event that a program logs in several places is one line with all of the fields."""
    lines = {}
    for name, level, who, fields in events:
        lines.setdefault((name, level, who), set()).update(fields)
    return {(*key, frozenset(fields)) for key, fields in lines.items()}


def same(done, said):
    """A module on a shared floor may be used by one of the programs only."""
    return (done[:2], done[3]) == (said[:2], said[3]) and done[2] in ("both", said[2])


def check_events():
    document = source / "docs/events.md"
    said, done = events_of_document(document), merged(events_of_code())
    missing = [d for d in done if not any(same(d, s) for s in said)]
    surplus = [s for s in said if not any(same(d, s) for d in done)]
    for what, events in ("is missing", missing), ("is not in the code", surplus):
        for name, level, who, fields in sorted(events, key=lambda e: e[:3]):
            wrong(f"{document}: {name}, {level}, {who}: {' '.join(sorted(fields))}: {what}")


# --- options ------------------------------------------------------------------------------------

def manual(program):
    """[(section heading, what it is, [(key, what it is, facts)])]"""
    text = re.sub(r"\\(.)", r"\1", run(program, "--print-manual").stdout)
    sections = []
    for block in re.split(r"^## ", text, flags=re.M)[1:]:
        head, _, rest = block.partition("\n\n")
        doc, _, options = rest.partition("\n\n*")
        found = re.findall(r"^\*?([a-z0-9-]+)\*\n\t(.+)\n\n\t(.+)$", "*" + options, re.M)
        sections.append((head.strip(), doc.strip(), found))
    return sections


def reference(program):
    lines = []
    for head, doc, options in manual(program):
        lines += [f"### `{head}`", "", doc, "", "| key | what it is | values |", "|---|---|---|"]
        lines += [f"| `{key}` | {what} | {facts} |".replace("\\", "\\\\").replace("*", "\\*")
                  for key, what, facts in options]
        lines.append("")
    return "\n".join(lines)


def check_reference():
    document = source / "docs/configuration.md"
    text = old = document.read_text()
    for program in PROGRAMS:
        mark = re.compile(rf"(<!-- options of {program} -->\n\n).*?\n?(?=<!-- end -->)", re.S)
        if not mark.search(text):
            wrong(f"{document}: no mark for the options of {program}")
        text = mark.sub(lambda m: m[1] + reference(program) + "\n", text)
    if update:
        document.write_text(text)
    elif text != old:
        wrong(f"{document} is not what --print-manual says: run "
              f"python3 tests/checks/docs.py . {build} update")


def check_samples():
    for program in PROGRAMS:
        sample = (source / "conf" / f"{program}.ini").read_text()
        in_sample, section = set(), None
        for line in sample.splitlines():
            if m := re.match(r"#?\[([a-z-]+)( \w+)?\]$", line):
                section = f"[{m[1]}{' LABEL' if m[2] else ''}]"
            elif m := re.match(r"#?([a-z-]+) =", line):
                in_sample.add((section, m[1]))
        in_manual = {(head, key) for head, _, options in manual(program) for key, _, _ in options}
        for section, key in sorted(in_sample ^ in_manual):
            wrong(f"{program}: {section} {key} is in the "
                  f"{'sample' if (section, key) in in_sample else 'manual'} only")


# --- all documents ------------------------------------------------------------------------------

def anchor(heading):
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def without_code(text):
    return re.sub(r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), text, flags=re.S | re.M)


def anchors(path):
    return {anchor(h) for h in re.findall(r"^#+ (.+)$", without_code(path.read_text()), re.M)}


def check_links(path):
    text = re.sub(r"`[^`\n]*`", "", without_code(path.read_text()))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        to = (path.parent / name).resolve() if name else path
        if not to.exists():
            wrong(f"{path}: {target} is not there")
        elif heading and heading not in anchors(to):
            wrong(f"{path}: {target} has no such heading")


def check_configurations(path):
    for block in re.findall(r"^```ini\n(.*?)^```", path.read_text(), re.S | re.M):
        m = re.match(r"# /etc/cmg/(cmg-[a-z-]+)\.ini\n", block)
        if not m:
            continue
        with tempfile.TemporaryDirectory(prefix="cmg") as t:
            folder = pathlib.Path(t)
            for file in re.findall(r"^(?:certificate|key|[a-z-]+-file) = (\S+)$", block, re.M):
                (folder / file).write_text("not looked into\n")
                (folder / file).chmod(0o600)
            (folder / "x.ini").write_text(block)
            said = run(m[1], "--config", folder / "x.ini", "--check")
            if said.returncode:
                wrong(f"{path}: {said.stderr}")


check_events()
check_reference()
check_samples()
for document in sorted([*source.glob("*.md"), *source.glob("docs/**/*.md")]):
    check_links(document)
    check_configurations(document)
sys.exit(bad != 0)
