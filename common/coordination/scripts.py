"""One Lua script in Redis: loaded when it is missing, and one error when Redis does not answer."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import NoScriptError

from common.errors import Unavailable
from common.logs import get_logger
from common.metrics import SWALLOWED

log = get_logger()


class Script:
    """The script in the file beside *module*; each call is one round trip.

    Where a key holds what is of another type than ours, everything that the call stands on is forgotten and made
    again, as after a loss: else that key would refuse every call for good.
    """

    def __init__(self, client: "redis.Redis", module: str) -> None:
        self._text = Path(module).with_suffix(".lua").read_text(encoding="utf-8")
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()
        self._delete = client.delete
        self._execute: Callable[..., Any] = client.execute_command

    def __call__(self, keys: Sequence[str], *arguments: Any) -> Any:
        """Run it. Raises `Unavailable` if Redis does not answer in the client's time, or refuses."""
        try:
            try:
                return self._run(keys, arguments)
            except redis.ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                SWALLOWED.labels("coordination.wrong_type").inc()
                log.error("coordination.keys_forgotten", keys=keys)
                self._delete(*keys)
                return self._run(keys, arguments)
        except redis.RedisError as error:
            raise Unavailable("The Redis that workers coordinate through does not answer.") from error

    def _run(self, keys: Sequence[str], arguments: tuple[Any, ...]) -> Any:
        try:
            return self._execute("EVALSHA", self._sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self._execute("EVAL", self._text, len(keys), *keys, *arguments)
