#!/usr/bin/env python3
"""Fails on calls that are banned everywhere, or outside the floor they belong to."""
import pathlib, re, sys

NEVER = ["strcpy", "strcat", "sprintf", "vsprintf", "strtok", "atoi", "atol", "atoll", "gets",
         "system", "popen", "tmpnam", "alloca"]
OURS = {  # what: where alone it may stand
    r"(?:getenv|secure_getenv|time|malloc|calloc|realloc)\s*\(": ["base/"],
    r"(?:event|evtimer|evsignal|bufferevent|evbuffer)_\w+\s*\(": ["net/"],
    r"(?:SSL|SSL_CTX|X509|EVP|BIO|PEM|ERR)_\w+\s*\(": ["net/", "auth/", "ctl/pki"],
    r"curl_\w+\s*\(": ["net/", "http/fetch"],
    r"nghttp2_\w+\s*\(": ["http/"],
    r"sd_(?:notify|watchdog|listen|journal|booted)\w*\s*\(": ["daemon/"],
    r"XML_\w+\s*\(": ["storage/"],
    r"ini_parse\w*\s*\(": ["daemon/"],
}
RULES = [(re.compile(rf"(?<![\w.>]){name}\s*\("), []) for name in NEVER]
RULES += [(re.compile(rf"(?<![\w.>]){what}"), where) for what, where in OURS.items()]
TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text):
    """Without comments and literals, every line where it was."""
    return TEXT.sub(lambda m: "\n" * m[0].count("\n"), text)


root, bad = pathlib.Path(sys.argv[1]), 0
for top in root / "src", root / "include/cmg":
    for f in sorted([*top.rglob("*.c"), *top.rglob("*.h")]):
        place = f.relative_to(top).as_posix()
        for n, line in enumerate(code(f.read_text()).splitlines(), 1):
            for what, where in RULES:
                m = what.search(line)
                if m and not any(place.startswith(w) for w in where):
                    print(f"{f}:{n}: {m[0].rstrip('( ')} is not for here")
                    bad += 1
sys.exit(bad != 0)
