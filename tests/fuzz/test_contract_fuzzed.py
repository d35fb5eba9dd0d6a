"""The whole document, fuzzed by schemathesis as everybody who may ask, with a fixed seed and a fresh one."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fuzz.conftest import Target

HERE = Path(__file__).parent
ROLES = ("nobody", "member", "admin", "operator")
FIXED = 20260131
WITHIN_S = 1_500
ENDS_ITSELF = (
    "POST /v1/auth/revoke",
    "POST /v1/auth/revoke-all",
    "DELETE /v1/sessions/{session_id}",
    "PATCH /v1/users/{user_id}",
    "DELETE /v1/users/{user_id}",
    "DELETE /v1/operations/signing-keys/{key_id}",
)


@pytest.mark.parametrize("role", ROLES)
def test_a_short_run_finds_nothing(target: Target, role: str) -> None:
    found = fuzz(target, role, examples=3, seed=FIXED)

    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [pytest.param(FIXED, id="fixed"), pytest.param(None, id="fresh")])
@pytest.mark.parametrize("role", ROLES)
def test_a_long_run_finds_nothing(target: Target, role: str, seed: int | None) -> None:
    found = fuzz(target, role, examples=100, seed=seed if seed is not None else secrets.randbelow(2**31))

    assert found == []


def fuzz(target: Target, role: str, *, examples: int, seed: int) -> list[str]:
    """Run schemathesis with every check; print its summary or its failures.

    Return what it found, or why it could not look.
    """
    token = target.tokens[role]
    command = [
        *(
            Path(sys.executable).with_name("schemathesis"),
            "--no-color",
            "--config-file",
            HERE / "schemathesis.toml",
        ),
        *("run", f"{target.url}/openapi.json", "--workers", "2", "--continue-on-failure"),
        *("--max-examples", str(examples), "--seed", str(seed)),
        *(signed_in(token) if token is not None else ()),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
    options: dict[str, Any] = {"timeout": WITHIN_S, "cwd": HERE, "env": environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    told = "= SUMMARY =" if done.returncode == 0 else "= FAILURES ="
    print(
        f"schemathesis as {role}, {examples} examples an operation, seed {seed}:{done.stdout.split(told, 1)[-1]}"
    )
    found = [] if done.returncode == 0 else [done.stdout[-20_000:], done.stderr[-2_000:]]
    if token is not None:
        look = httpx.get(f"{target.url}/v1/jobs", headers={"Authorization": f"Bearer {token}"}, timeout=20)
        found += [] if look.status_code == httpx.codes.OK else [f"its own token was lost on the way: {look.text}"]
    return found


def signed_in(token: str) -> list[str]:
    """Return the options of somebody who is signed in; what would end their own session is left to nobody."""
    without = [part for name in ENDS_ITSELF for part in ("--exclude-name", name)]
    return ["--header", f"Authorization: Bearer {token}", *without]
