"""Judges of tokens that are not ours: the jose command, npm's jose, python3-jwcrypto. jose and
jwcrypto look at the signature only; npm's jose at issuer, audience and times, too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from jwcrypto import jwk, jws
from jwcrypto.common import JWException

from . import node
from .keys import Key


def jose_takes(token: str, keys: list[Key], folder: Path) -> bool:
    """`jose jws ver`. Keys and token go in by files, as it wants them."""
    named, tokened = folder / "oracle.jwks", folder / "oracle.jws"
    named.write_text(json.dumps({"keys": [key.jwk() for key in keys]}))
    tokened.write_text(token)
    done = subprocess.run(["jose", "jws", "ver", "-i", tokened, "-k", named],
                          capture_output=True, timeout=20)
    return done.returncode == 0


def jwcrypto_takes(token: str, keys: list[Key]) -> bool:
    """With each of the keys in turn, as a caller does that has no key ids."""
    for key in keys:
        try:
            parsed = jws.JWS()
            parsed.deserialize(token)
            parsed.verify(jwk.JWK(**key.jwk()))
            return True
        except (JWException, ValueError, TypeError, KeyError, RecursionError):
            pass
    return False


def npm_jose_takes(tokens: list[str], keys: list[Key], issuer: str, audience: str) -> list[bool]:
    verdicts = node.run("verify.mjs", json.dumps({
        "jwks": {"keys": [key.jwk() for key in keys]}, "issuer": issuer, "audience": audience,
        "tokens": tokens}))
    return [verdict is None for verdict in json.loads(verdicts)]
