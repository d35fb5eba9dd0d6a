"""What has to be said about an API that no other connector knows: its paths, its fields, its way of paging.

A value holds no secret: it is shown to whoever may see the source.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import orjson
from jsonpointer import JsonPointer, JsonPointerException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

QUERY_MAX = 30
VALUE_MAX_CHARS = 500
STATUS_MAX = 100
WRONG_MAX = 20
# Of a name in lower case, without what separates its words.
_SECRET = re.compile(
    r"secret|token|apikey|accesskey|privatekey|password|passwd|credential|signature|authorization|sig\Z|\A(?:auth|key)\Z"
)
_CURSOR = re.compile(r"(?:pagetoken|nexttoken|continuationtoken|cursor)\Z")
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]")
_OUR_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "cookie", "expect", "host",
     "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"}
)  # fmt: skip
_SENTENCES = {
    "missing": "Is needed.",
    "extra_forbidden": "There is no such setting.",
    "union_tag_invalid": "Must have one of the styles page, offset, cursor and link.",
    "union_tag_not_found": "Must have one of the styles page, offset, cursor and link.",
    "string_pattern_mismatch": "Has signs that can't stand here.",
}
_PREFIXES_OF_OURS = ("proxy-", "sec-", "x-forwarded-")


def _pointer(text: str) -> str:
    try:
        JsonPointer(text)
    except JsonPointerException as error:
        raise PydanticCustomError(
            "pointer", "Must be a JSON pointer like /data/id, or empty for the whole"
        ) from error
    return text


def _no_secret(name: str) -> str:
    words = _BETWEEN_WORDS.sub("", name.lower())
    if _SECRET.search(words) and not _CURSOR.search(words):
        raise PydanticCustomError("secret", "Looks like a secret, and those go into the credentials")
    return name


def _single(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= VALUE_MAX_CHARS and value.isprintable():
        return value
    if isinstance(value, int):
        return value
    raise PydanticCustomError(
        "single",
        f"Must be a printable text of at most {VALUE_MAX_CHARS} characters, a whole number, true or false",
    )


def _free_header(name: str) -> str:
    if name.lower() in _OUR_HEADERS or name.lower().startswith(_PREFIXES_OF_OURS):
        raise PydanticCustomError("header", "Is a header that is not a source's to set")
    return name


Pointer = Annotated[str, Field(max_length=200), AfterValidator(_pointer)]
Parameter = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
Text = Annotated[str, Field(max_length=VALUE_MAX_CHARS, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Value = Annotated[Any, AfterValidator(_single)]
HeaderName = Annotated[
    str, Field(max_length=100, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"), AfterValidator(_free_header)
]
Ends = Literal["empty", "short", "total"]
Status = Literal["open", "pending", "resolved", "closed"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Fields(_Settings):
    """Where in a record each field of a ticket stands."""

    external_id: Pointer
    message: Pointer
    customer_id: Pointer | None = None
    channel: Pointer | None = None
    subject: Pointer | None = None
    status: Pointer | None = None
    tags: Pointer | None = None
    created_at: Pointer | None = None


class ByPage(_Settings):
    """Pages have numbers.

    They end with an empty one; where the API keeps to the size asked for, it can be the first that is not full;
    where it answers with an error instead of an empty page, the one that makes up the *total*.
    """

    style: Literal["page"]
    parameter: Parameter = "page"
    size_parameter: Parameter | None = "per_page"
    first: Annotated[int, Field(ge=0, le=1)] = 1
    total: Pointer | None = None
    ends: Ends = "empty"


class ByOffset(_Settings):
    """A page begins at a record's place in the list; they end as `ByPage`."""

    style: Literal["offset"]
    parameter: Parameter = "offset"
    size_parameter: Parameter | None = "limit"
    first: Annotated[int, Field(ge=0, le=1)] = 0
    total: Pointer | None = None
    ends: Ends = "empty"


class ByCursor(_Settings):
    """An answer holds the next page's URL or, if there is a *parameter* to give it to, its cursor.

    *more* is where an answer says whether there is one. Without it, the last page says so by a null in place of
    the next or, if that *ends* the list, by leaving it out.
    """

    style: Literal["cursor"]
    next: Pointer
    parameter: Parameter | None = None
    size_parameter: Parameter | None = None
    more: Pointer | None = None
    ends: Literal["null", "missing"] = "null"
    total: Pointer | None = None


class ByLink(_Settings):
    """The header `Link` holds the next page's URL."""

    style: Literal["link"]
    size_parameter: Parameter | None = "per_page"
    total: Pointer | None = None


class Since(_Settings):
    """The parameter that asks for what has changed since an instant."""

    parameter: Parameter
    format: Literal["rfc3339", "unix"] = "rfc3339"


class Auth(_Settings):
    """How the credentials are sent: a token, a name with a password, or a header of the API's own."""

    style: Literal["bearer", "basic", "header"]
    header: HeaderName | None = None

    @model_validator(mode="after")
    def _names_its_header(self) -> "Auth":
        if (self.style == "header") != (self.header is not None):
            raise PydanticCustomError("auth", "Takes a header with the style header, and with no other")
        return self


class RestSettings(_Settings):
    """All of it; *path* goes behind the base URL, *records* is where an answer has its list."""

    path: Annotated[str, Field(max_length=1_000, pattern=r"^(?:/[!-~]*)?$")] = ""
    query: Annotated[
        Mapping[Annotated[Parameter, AfterValidator(_no_secret)], Value], Field(max_length=QUERY_MAX)
    ] = Field(default_factory=dict)
    records: Pointer = ""
    fields: Fields
    attributes: Annotated[Mapping[Text, Pointer], Field(max_length=50)] | None = None
    changed_at: Pointer | None = None
    paging: Annotated[ByPage | ByOffset | ByCursor | ByLink, Field(discriminator="style")]
    since: Since | None = None
    status_map: Annotated[Mapping[Text, Status], Field(max_length=STATUS_MAX)] = Field(default_factory=dict)
    auth: Auth | None = None

    @model_validator(mode="after")
    def _total_is_somewhere(self) -> "RestSettings":
        if (
            isinstance(self.paging, ByPage | ByOffset)
            and self.paging.ends == "total"
            and self.paging.total is None
        ):
            raise PydanticCustomError("total", "Paging that ends by the total has to say where the total is")
        return self

    @model_validator(mode="after")
    def _path_is_only_a_path(self) -> "RestSettings":
        if set(self.path) & set("?#\\"):
            raise PydanticCustomError("path", "The path has no place for ?, # or a backslash; use query")
        return self


@lru_cache(maxsize=256)
def _read(text: bytes) -> RestSettings:
    return RestSettings.model_validate_json(text)


def read(config: Mapping[str, Any]) -> RestSettings:
    """Return *config* as settings. Raises `ValueError` if it is not fit to be."""
    return _read(orjson.dumps(config, option=orjson.OPT_SORT_KEYS))


def wrong_with(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the JSON pointer and a sentence for each thing in *config* that is wrong, the first twenty."""
    try:
        read(config)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)[:WRONG_MAX]
        return list({_place(fault, config): _sentence(fault) for fault in reversed(faults)}.items())[::-1]
    except (TypeError, ValueError):
        return [("", "Must be an object of JSON values.")]
    return []


def _place(fault: ErrorDetails, config: Any) -> str:
    """Return the pointer to what is wrong; what names a type in pydantic's path to it is left out."""
    parts: list[str] = []
    for part in fault["loc"]:
        if isinstance(config, Mapping) and part in config:
            config = config[part]
        elif fault["type"] != "missing" or part != fault["loc"][-1]:
            continue
        parts.append(str(part))
    return JsonPointer.from_parts(parts).path


def _sentence(fault: ErrorDetails) -> str:
    # Some of pydantic's sentences repeat what was given, which has no bound.
    return _SENTENCES.get(fault["type"]) or f"{fault['msg'].replace('Input should', 'Must', 1)}."
