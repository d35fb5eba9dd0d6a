"""What the examining child gives up, seen from inside it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFINED = """
import mmap, os, socket, sys
from workers.files.examining.confinement import confine, renew_cpu_limit
confine()
def tell(what):
    os.write(1, what.encode())
def attempt(deed):
    try:
        deed()
    except (OSError, MemoryError):
        tell("refused")
    else:
        tell("done")
"""


def confined(code: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process that has confined itself."""
    return subprocess.run(
        [sys.executable, "-c", CONFINED + code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    "deed",
    [
        "os.write(os.open('/dev/shm/examined', os.O_CREAT | os.O_WRONLY), b'x')",
        "bytearray(600 * 1024 * 1024)",
        "mmap.mmap(-1, 600 * 1024 * 1024)",
        "[os.dup(0) for _ in range(100)]",
    ],
    ids=["write", "memory", "mapped memory", "descriptors"],
)
def test_resources_are_limited(deed: str) -> None:
    assert confined(f"attempt(lambda: {deed})").stdout == "refused"


def test_a_loop_ends_with_the_time_on_the_processor() -> None:
    ended = confined("renew_cpu_limit(1)\nwhile True: pass")

    assert ended.returncode == -signal.SIGPROF


def test_the_limit_of_time_is_each_contents_own() -> None:
    work = "import time\nfor _ in range(3):\n renew_cpu_limit(2)\n began = time.process_time()\n"

    ended = confined(work + " while time.process_time() < began + 0.9: pass\ntell('done')")

    assert (ended.stdout, ended.returncode) == ("done", 0)


@pytest.mark.parametrize("place", ["/etc/passwd", "/proc/self/environ", f"{ROOT}/requirements.txt"])
def test_files_beside_the_code_are_out_of_reach(place: str) -> None:
    _needs("os.open('/etc', os.O_RDONLY)")

    assert confined(f"attempt(lambda: open({place!r}).read())").stdout == "refused"


def test_the_network_is_out_of_reach() -> None:
    _needs("socket.create_connection(('127.0.0.1', 9), 1)", errno="101")

    assert confined("attempt(lambda: socket.create_connection(('127.0.0.1', 9), 1))").stdout == "refused"


def test_what_reads_can_still_be_imported() -> None:
    readers = "from workers.files.examining.readers import archive, image, json_value, pdf, sheets, table, text"

    ended = confined(f"{readers}\ntell('done')")

    assert (ended.stdout, ended.returncode) == ("done", 0)


def test_a_child_has_nothing_of_its_parents_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.files.examining.process import Child

    monkeypatch.setenv("FAIRWAY_SECRET", "secret")
    child = Child()
    environment = Path(f"/proc/{child._process.pid}/environ").read_text(encoding="utf-8")
    descriptors = list(Path(f"/proc/{child._process.pid}/fd").iterdir())
    child.kill()

    assert "secret" not in environment
    assert len(descriptors) <= 6


def _needs(deed: str, *, errno: str = "13") -> None:
    """Skip where the kernel does not offer this part of the confinement."""
    code = f"try:\n {deed}\n tell('0')\nexcept OSError as error:\n tell(str(error.errno))"
    if confined(code).stdout != errno:
        pytest.skip("This kernel does not let a process give that up.")
