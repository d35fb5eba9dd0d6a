"""Which connectors there are, and that one more needs no other file."""

import subprocess
import sys
from pathlib import Path

from common.connectors.connector import Connector
from common.connectors.known import CONNECTORS

ROOT = Path(__file__).parents[3]
ONE_MORE = '''
from common.connectors.github_issues import GithubIssues

class Forge(GithubIssues):
    """Another host that answers like GitHub."""

    name = "forge"
    version = 1
'''


def test_the_four_are_known_by_their_names() -> None:
    assert list(CONNECTORS) == ["github_issues", "intercom", "rest", "zendesk"]
    assert all(connector.name == name for name, connector in CONNECTORS.items())


def test_each_says_what_a_source_needs_to_know() -> None:
    for connector in CONNECTORS.values():
        assert issubclass(connector, Connector)
        assert connector.version >= 1
        assert 1 <= connector.page_size_default <= connector.page_size_max
        assert all(one.description and 0 < one.max_chars <= 8_000 for one in connector.credentials.values())


def test_a_file_elsewhere_on_the_path_adds_a_connector(tmp_path: Path) -> None:
    for folder in ("common", "common/connectors"):
        (tmp_path / folder).mkdir()
    (tmp_path / "common" / "connectors" / "forge.py").write_text(ONE_MORE, encoding="utf-8")
    for folder in ("common", "common/connectors"):
        (tmp_path / folder / "__init__.py").write_text("", encoding="utf-8")
    names = "from common.connectors.known import CONNECTORS; print(*CONNECTORS)"

    found = subprocess.run(
        [sys.executable, "-c", names],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["forge", "github_issues", "intercom", "rest", "zendesk"]
