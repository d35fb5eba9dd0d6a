"""`python -m bench [name ...]`: all benchmarks, or those that are named (`NAMES`)."""

import os
import subprocess
import sys

from bench.rig import HERE, ROOT

NAMES = (
    *("accept", "look", "layers", "listing", "streams", "crowd", "drain", "idle", "imports", "promises", "scale"),
    *("memory", "coordination", "lanes", "neighbour", "registry", "sign_in", "files", "classification"),
    *("ingestion", "waiting_sources", "ticket_listing", "ticket_statistics", "counting"),
    *("export_report", "platform_totals"),
)


def main() -> int:
    """Run each benchmark in a process of its own, so that none inherits another's settings."""
    path = os.pathsep.join(map(str, (ROOT, HERE, HERE / "kinds", HERE / "peers")))
    chosen = sys.argv[1:] or NAMES
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        print(f"there is no benchmark called {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    print("ratios in one run, ours to plain, the median of the pairs; absolute figures are this machine's mood")
    environment = {**os.environ, "PYTHONPATH": path}
    return max(
        subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=ROOT, env=environment, check=False).returncode
        for name in chosen
    )


if __name__ == "__main__":
    sys.exit(main())
