"""`python -m deploy.compose.make_secrets FOLDER`: makes every secret of `docker-compose.yml`, once.

Each service gets a user of its own at each Redis, with the rights that its work needs; only those who serve the
broker's queues may write them.
"""

import base64
import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

WORK = (
    "+@read +@write +@list +@sortedset +@hash +@set +@string +@keyspace "
    "+eval +evalsha +script|load +@transaction +@connection +@blocking"
)
NEVER = "-@dangerous +info +time +client|setname"
EVENTS = "~_kombu.* ~celeryev.* ~*.celery.pidbox* allchannels +@pubsub"

BROKER_RIGHTS = {
    "api": f"~fairway:* ~fairway.* {WORK} {NEVER}",
    "worker": f"~fairway:* ~fairway.* ~unacked* {EVENTS} {WORK} {NEVER}",
    "sweeper": f"~fairway:* ~fairway.* {WORK} {NEVER}",
    # Flower listens to events and asks workers about themselves; queues and lanes are out of its reach.
    "flower": f"{EVENTS} {WORK} {NEVER}",
    "health": "resetkeys +ping",
}
# Who changes an organization or a person passes the word on; the API's processes listen.
WORD = "&fairway:changes +publish +subscribe +unsubscribe"
CACHE_RIGHTS = {
    "api": f"~fairway:* {WORD} {WORK} {NEVER}",
    "worker": f"~fairway:* {WORD} {WORK} {NEVER}",
    "sweeper": f"~fairway:* {WORK} {NEVER}",
    "health": "resetkeys +ping",
}


def main(folder: Path) -> None:
    """Make what is missing in *folder*; what is there stays."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = keep(folder / "mongo_password", token)
    keep(folder / "mongo_root_password", token)
    keep(folder / "mongo_keyfile", lambda: base64.b64encode(secrets.token_bytes(512)).decode())
    keep(
        folder / "mongo_url",
        lambda: f"mongodb://fairway:{password}@mongo:27017/?replicaSet=fairway&authSource=admin",
    )
    keep(folder / "secret_keys", lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    keep(folder / "operator_password", token)
    keep(folder / "flower_login", lambda: f"operator:{token()}")
    for server, rights in (("broker", BROKER_RIGHTS), ("redis", CACHE_RIGHTS)):
        users(folder, server, rights)


def users(folder: Path, server: str, rights: dict[str, str]) -> None:
    """Make a password and an address for each user of *server*, and the ACL file that follows from them.

    To change a password, remove its file and make the secrets again.
    """
    lines = ["user default off resetchannels -@all"]
    for user, allowed in rights.items():
        if user == "health":
            password = keep(folder / f"{server}_health", token)
        else:
            url = keep(folder / f"{server}_url_{user}", partial(address, user, server))
            password = url.split(":")[2].split("@")[0]
        digest = hashlib.sha256(password.encode()).hexdigest()
        lines.append(f"user {user} on resetchannels #{digest} {allowed}")
    write(folder / f"{server}_acl", "\n".join(lines) + "\n")


def address(user: str, server: str) -> str:
    """Return the address of *server* for *user*, with a fresh password."""
    return f"redis://{user}:{token()}@{server}:6379/0"


def keep(path: Path, make: Callable[[], str]) -> str:
    """Return what *path* holds, made by *make* if it is not there."""
    if not path.exists():
        write(path, make())
    return path.read_text(encoding="ascii").strip()


def write(path: Path, text: str) -> None:
    """Put *text* there as a whole, readable by the containers' users; the folder around it is closed to others."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="ascii") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o444)  # whatever the umask is: Compose mounts a secret with its modes
    partial.replace(path)


def token() -> str:
    """Return a fresh password."""
    return secrets.token_urlsafe(24)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "secrets"))
