"""Adding a kind of job edits no existing file: one is added here in a temporary folder, and seen to run."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from common.config import Settings

ROOT = Path(__file__).parents[2]

ASKED = '''
"""What is asked."""

from common.jobs.kind import Job


class SayHello(Job, name="greetings.say_hello", queue="greetings", time_limit_s=10):
    """Greet somebody."""

    whom: str
'''

DONE = '''
"""How it is done."""

from common.greetings.say_hello import SayHello
from workers.context import Context
from workers.runner import handles


@handles(SayHello)
def say_hello(ctx: Context, job: SayHello) -> str:
    """Greet."""
    return f"Hello, {job.whom}"
'''

SCRIPT = """
import sys
from common.config import Settings
from common.jobs.kind import queues
from common.services import Services
from deploy.local.stack import processes
from tests.integration.conftest import Slot, caller_of, make_organization
from workers import runner

runner.discover()
settings = Settings()
services = Services(settings)
services.prepare()
from common.greetings.say_hello import SayHello

org_id = make_organization(services)
job = services.submit(caller_of(org_id), SayHello(whom="you"))
ended = Slot(services).step("greetings")
assert (ended.state, ended.result) == ("succeeded", "Hello, you"), ended
assert "greetings" in queues()
assert any("fairway.greetings" in process.command for process in processes(settings, flower_login="a:b"))
print("it ran")
"""


def test_a_kind_in_a_new_folder_is_found_run_and_given_a_worker(tmp_path: Path, settings: Settings) -> None:
    for side, text in (("common", ASKED), ("workers", DONE)):
        family = tmp_path / side / "greetings"
        family.mkdir(parents=True)
        (family / "__init__.py").write_text('"""Greetings."""\n')
        (family / "say_hello.py").write_text(textwrap.dedent(text))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAIRWAY_")},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
        "FAIRWAY_MONGO_URL": settings.mongo_url.get_secret_value(),
        "FAIRWAY_BROKER_URL": settings.broker_url.get_secret_value(),
        "FAIRWAY_CONTROL_DATABASE": settings.control_database,
        "FAIRWAY_DATA_DATABASES": ",".join(settings.data_databases),
        "FAIRWAY_DATA_DIR": str(settings.data_dir),
    }

    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.stdout == "it ran\n", ran.stderr
