"""`python -m web.alive`: exit 0 if the API of this machine answers."""

import sys
import urllib.error
import urllib.request

from common.config import current


def main() -> str | None:
    """Return `None` if it answers, or a sentence that says it does not."""
    url = f"http://127.0.0.1:{current().http_port}/healthz"
    try:
        urllib.request.urlopen(url, timeout=4).close()
    except (urllib.error.URLError, OSError) as error:
        return f"{url} does not answer: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
