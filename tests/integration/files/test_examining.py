"""The examiner and its child: fast for many, alone with what harms it, and gone when it should be."""

import gc
import io
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import billiard
import psutil
import pytest

from common.errors import TimeLimitExceeded, Unavailable
from common.files.findings import UNKNOWN_TYPE, Findings
from tests.unit.files import made_files as made
from workers.files.examining.examiner import Examiner
from workers.files.examining.handing import COPIED_MAX_BYTES

CSV = b"a,b\n1,2\n3,4\n"
CSV_FOUND = {"encoding": "utf-8", "delimiter": ",", "rows": 3, "columns": 2}
# Takes a second or so: many quoted rows. Half the frames that are still counted take as long.
LONG = b'a,b\n1,"2"\n' + b"3,4\n" * 2_000_000
SPINNING = made.gif(1_000_000)
# Rust's allocator gives up, which nothing in the child can catch.
ABORTING = made.xlsx(made.sheet("A1", "XFD1048576"))
DEADLINE_S = 10.0


@pytest.fixture
def examiner() -> Iterator[Examiner]:
    with Examiner() as made_here:
        yield made_here


def one(examiner: Examiner, content: bytes) -> Findings:
    return examiner.examine(io.BytesIO(content), len(content))


def until(holds: Callable[[], bool]) -> bool:
    """Wait for *holds*, with a deadline."""
    end = time.monotonic() + DEADLINE_S
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    return holds()


BEFORE: set[int] = set()
"""Children of this process that are none of a test's own: servers, and what other tests have left."""


@pytest.fixture(autouse=True)
def _know_the_others() -> None:
    BEFORE.clear()
    BEFORE.update(one.pid for one in psutil.Process().children(recursive=True))


def children() -> list[psutil.Process]:
    """Return the children that this test has started."""
    return [one for one in psutil.Process().children(recursive=True) if one.pid not in BEFORE]


def test_a_stored_file_is_examined_from_its_start_wherever_it_stands(examiner: Examiner, tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_bytes(CSV)

    with path.open("rb") as file:
        file.seek(5)
        found = examiner.examine(file, len(CSV))

    assert (found.media_type, found.found, found.problem) == ("text/csv", CSV_FOUND, None)
    assert found.is_readable


def test_a_file_that_is_open_for_writing_is_copied(examiner: Examiner) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(CSV)
        file.seek(0)

        assert examiner.examine(file, len(CSV)).found == CSV_FOUND


def test_what_is_no_file_at_all_is_read_as_a_stream(examiner: Examiner) -> None:
    assert one(examiner, CSV).found == CSV_FOUND


def test_of_a_long_stream_only_the_beginning_is_looked_at(examiner: Examiner) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b"a" * size

    found = examiner.examine(Endless(), 10**12)  # type: ignore[arg-type]

    assert found.found == {"encoding": "utf-8", "lines": 1, "examined_bytes": COPIED_MAX_BYTES}


def test_many_contents_are_examined_in_their_order(examiner: Examiner) -> None:
    contents = [b"a,b\n" + b"1,2\n" * number for number in range(1, 251)]

    found = examiner.examine_all(contents)

    assert [each.found["rows"] for each in found] == list(range(2, 252))


def test_nothing_is_found_in_no_contents(examiner: Examiner) -> None:
    assert examiner.examine_all([]) == []


def test_one_child_examines_all() -> None:
    with Examiner() as examiner:
        one(examiner, CSV)
        first = children()
        examiner.examine_all([CSV] * 200)
        last = children()

    assert len(first) == 1
    assert first == last


def test_what_breaks_the_child_costs_the_others_nothing() -> None:
    with Examiner() as examiner:
        found = examiner.examine_all([CSV, ABORTING, CSV, ABORTING, CSV])

    assert [each.is_readable for each in found] == [True, False, True, False, True]
    assert [each.found for each in found if each.is_readable] == [CSV_FOUND] * 3
    assert found[1].media_type == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert found[1].problem == "The file broke the program that looked into it."


def test_what_takes_too_long_is_given_up_and_its_type_named() -> None:
    with Examiner(limit_s=0.3) as examiner:
        found = one(examiner, SPINNING)
        after = one(examiner, CSV)

    assert (found.media_type, found.problem) == ("image/gif", "Looking into the file took too long.")
    assert after.found == CSV_FOUND


def test_a_group_that_takes_too_long_has_only_its_types_named_from_there_on() -> None:
    with Examiner(patience_s=0.4) as examiner:
        one(examiner, CSV)
        found = examiner.examine_all([CSV, LONG, CSV, made.pages(1)])

    assert found[0].found == CSV_FOUND
    assert found[1].found["rows"] == 2_000_002
    assert [(each.media_type, each.found) for each in found[2:]] == [("text/csv", {}), ("application/pdf", {})]
    assert all(each.problem and each.problem.startswith("Only its type") for each in found[2:])


def test_a_child_that_is_killed_between_two_contents_is_replaced() -> None:
    with Examiner() as examiner:
        one(examiner, CSV)
        os.kill(children()[0].pid, signal.SIGKILL)

        assert one(examiner, CSV).found == CSV_FOUND


def test_a_content_whose_child_is_killed_is_examined_by_the_next() -> None:
    with Examiner() as examiner:
        one(examiner, CSV)
        victim = children()[0]
        killer = threading.Thread(target=lambda: until(lambda: _works(victim)) and victim.kill())
        killer.start()

        found = examiner.examine_all([CSV, LONG, CSV])

        killer.join()
        assert victim not in children()

    assert [each.problem for each in found] == [None] * 3


def _works(process: psutil.Process) -> bool:
    spent = process.cpu_times()
    return spent.user + spent.system > 0.4


def test_a_soft_limit_of_time_leaves_no_child_behind() -> None:
    def over(_number: int, _frame: object) -> None:
        raise TimeLimitExceeded("The soft limit is over.")

    before = signal.signal(signal.SIGALRM, over)
    try:
        with pytest.raises(TimeLimitExceeded), Examiner() as examiner:
            one(examiner, CSV)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            one(examiner, LONG)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert children() == []


def test_an_examination_that_was_interrupted_leaves_no_answer_to_the_next() -> None:
    def over(_number: int, _frame: object) -> None:
        raise TimeLimitExceeded("The soft limit is over.")

    before = signal.signal(signal.SIGALRM, over)
    try:
        with Examiner() as examiner:
            signal.setitimer(signal.ITIMER_REAL, 0.4)
            with pytest.raises(TimeLimitExceeded):
                examiner.examine_all([LONG, LONG])
            assert one(examiner, CSV).found == CSV_FOUND
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_child_dies_with_its_examiner_even_at_work(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    pid = os.fork()
    if pid == 0:
        _examine_for_ever(told)
    assert until(lambda: told.exists() and told.read_text().endswith("\n"))
    child = psutil.Process(int(told.read_text()))
    assert until(lambda: _works(child))

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_process_of_a_workers_pool_may_examine() -> None:
    def examine_one() -> None:
        with Examiner() as examiner:
            sys.exit(0 if one(examiner, CSV).found == CSV_FOUND else 1)

    process = billiard.Process(target=examine_one, daemon=True)
    process.start()
    process.join(60)

    assert process.exitcode == 0


def _examine_for_ever(told: Path) -> None:
    """Be a worker that has a long file examined, and never return."""
    try:
        examiner = Examiner()
        one(examiner, CSV)
        told.write_text(f"{children()[0].pid}\n")
        while True:
            one(examiner, SPINNING)
    finally:
        os._exit(1)


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_children_that_are_replaced_leave_no_descriptor_and_no_zombie(times: int) -> None:
    with Examiner() as examiner:
        one(examiner, CSV)
        gc.collect()  # what earlier tests left to the collector is not counted
        descriptors = psutil.Process().num_fds()
        for _ in range(times):
            children()[0].kill()
            assert one(examiner, CSV).found == CSV_FOUND
        assert psutil.Process().num_fds() == descriptors
        assert len(children()) == 1

    assert children() == []
    assert psutil.Process().num_fds() == descriptors - 1


READY = "import os, signal, time\nos.write(0, b'ready\\n')\nos.read(0, 65536)\n"
SOUND = r'{"media_type":"text/csv","found":{},"problem":null,"is_last":false}'


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (r"os.write(0, b'garbage\n')", "What is in the file could not be made sense of."),
        (r"os.write(0, b'[]\n')", "What is in the file could not be made sense of."),
        ("while os.write(0, b'x' * 65536): pass", "What is in the file could not be made sense of."),
        ("os.kill(os.getpid(), 9)", "The file broke the program that looked into it."),
        ("os.kill(os.getpid(), signal.SIGPROF)", "Looking into the file took too long."),
        ("time.sleep(60)", "Looking into the file took too long."),
        (f"os.write(0, b'{SOUND}\\n'[:20]); os.close(0)", "The file broke the program that looked into it."),
    ],
    ids=["garbage", "another shape", "endless", "killed", "over its processor time", "silent", "cut"],
)
def test_a_child_that_fails_is_a_problem_of_the_file(body: str, problem: str) -> None:
    with Examiner(command=(sys.executable, "-c", READY + body), limit_s=0.5) as examiner:
        found = one(examiner, CSV)

    assert found == Findings(UNKNOWN_TYPE, {}, problem)
    assert children() == []


def test_an_answer_that_nobody_asked_for_is_given_to_nobody() -> None:
    body = f"os.write(0, b'{SOUND}\\n' * 2)\nos.read(0, 65536)"
    with Examiner(command=(sys.executable, "-c", READY + body), limit_s=0.5) as examiner:
        first, second = one(examiner, CSV), one(examiner, b"x")

    assert (first.media_type, first.problem) == ("text/csv", None)
    assert second.problem == "What is in the file could not be made sense of."


@pytest.mark.parametrize("body", ["", "import os; os.write(0, b'hello\\n')", "raise SystemExit(1)"])
def test_a_child_that_does_not_start_is_no_problem_of_the_file(body: str) -> None:
    with Examiner(command=(sys.executable, "-c", body)) as examiner, pytest.raises(Unavailable):
        one(examiner, CSV)

    assert children() == []


def test_small_contents_are_examined_fast(examiner: Examiner) -> None:
    draw = random.Random(8)
    bytes_of_chance = [draw.randbytes(10_240) for _ in range(2_000)]
    tables = [b"id,name,note\n" + b"%d,Alice,twelve\n" % number * 700 for number in range(2_000)]
    one(examiner, CSV)

    for kind, contents in (("random bytes", bytes_of_chance), ("small CSV", tables)):
        began = time.perf_counter()
        found = examiner.examine_all(contents)
        took_ms = (time.perf_counter() - began) * 1000 / len(contents)
        print(f"{kind}: {took_ms:.3f} ms each")

        assert all(each.is_readable for each in found)
