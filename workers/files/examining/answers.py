"""What a child answers, believed only within bounds: it may have been taken over by what it read."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from common.files.findings import FOUND_MAX_BYTES, Findings

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,95}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KEYS_MAX = 32
_ITEMS_MAX = 50
_TEXT_MAX_CHARS = 300
_NUMBER_MAX = 2**53


class Unbelievable(Exception):
    """The answer is not one that a sound child gives."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A believed answer; *is_last* if the child is spent and ends after it."""

    findings: Findings
    is_last: bool


def say(findings: Findings, *, is_last: bool) -> bytes:
    """Return the line that answers with *findings*."""
    answer = {
        "media_type": findings.media_type,
        "found": findings.found,
        "problem": findings.problem,
        "is_last": is_last,
    }
    return orjson.dumps(answer) + b"\n"


def believe(line: bytes) -> Answer:
    """Read the answer in *line*. Raises `Unbelievable`."""
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Unbelievable from error
    if not isinstance(said, dict) or said.keys() != {"media_type", "found", "problem", "is_last"}:
        raise Unbelievable
    _check(isinstance(said["is_last"], bool))
    _check(isinstance(said["media_type"], str) and _MEDIA_TYPE.fullmatch(said["media_type"]))
    _check(said["problem"] is None or _is_plain_text(said["problem"]))
    _check_fields(said["found"])
    _check(len(line) <= FOUND_MAX_BYTES or len(orjson.dumps(said["found"])) <= FOUND_MAX_BYTES)
    return Answer(Findings(said["media_type"], said["found"], said["problem"]), said["is_last"])


def _check(holds: object) -> None:
    if not holds:
        raise Unbelievable


def _check_fields(fields: Any) -> None:
    _check(isinstance(fields, dict) and len(fields) <= _KEYS_MAX)
    for key, value in fields.items():
        _check(_KEY.fullmatch(key))
        if isinstance(value, list):
            _check(len(value) <= _ITEMS_MAX)
            for item in value:
                _check(isinstance(item, dict) and len(item) <= _KEYS_MAX)
                _check(all(_KEY.fullmatch(name) and _is_plain(of_it) for name, of_it in item.items()))
        else:
            _check(_is_plain(value))


def _is_plain(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return 0 <= value <= _NUMBER_MAX
    return _is_plain_text(value)


def _is_plain_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT_MAX_CHARS and value.isprintable()
