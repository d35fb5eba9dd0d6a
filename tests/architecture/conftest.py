"""The application, for what is checked against its document."""

from tests.integration.conftest import services  # noqa: F401 (a fixture)
from tests.integration.web.conftest import app  # noqa: F401 (a fixture)
