"""What somebody asks a ticket to be, made what is stored of it: the rules of fields that come by hand. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from common.errors import Fault, Invalid
from common.tickets.attributes import ATTRIBUTES_MAX, NAME_MAX_CHARS, escape
from common.tickets.fields import RULES, Unfit, attribute
from common.tickets.history import differences
from common.tickets.revising import COMPUTED, computed_of

Fields = Mapping[str, Any]
_READ_BY_THE_CLASSIFIER = frozenset({"subject", "message"})


def read_fields(asked: Fields) -> dict[str, Any]:
    """Return the fields of a ticket as they are stored; attributes that are null stay so.

    Raises `Invalid`, which names each that can't be one.
    """
    found, faults = dict[str, Any](), list[Fault]()
    for name, value in asked.items():
        if name == "attributes":
            found[name] = {
                escape(inner): _judged(attribute, one, f"/attributes/{_escaped(inner)}", faults)
                for inner, one in value.items()
            }
            faults += _faults_of_names(value)
        else:
            found[name] = _judged(RULES[name], value, f"/{name}", faults) if name in RULES else value
    if faults:
        raise Invalid("Some fields are not valid; see errors.", faults)
    return found


def made_of(fields: Fields) -> dict[str, Any]:
    """Return what a new ticket of *fields* has beside the texts: its attributes and what is computed of it."""
    by_hand = {name: fields[name] for name in COMPUTED if fields.get(name) is not None}
    kept = {name: value for name, value in fields.get("attributes", {}).items() if value is not None}
    return {
        "attributes": _bounded(kept),
        **computed_of({"subject": None, **fields}, by_hand),
        **by_hand,
        "overridden": sorted(by_hand),
    }


def changed(was: Fields, fields: Fields) -> dict[str, Any]:
    """Return the stored fields that *fields* change in the stored ticket *was*, none if it is all that already.

    Of attributes those are changed that are named, and null takes one away. A computed field that is given is
    overridden from now on, and null gives it back to the classifier. Raises `Invalid` for too many attributes.
    """
    after = {name: value for name, value in fields.items() if name not in COMPUTED}
    if "attributes" in fields:
        after["attributes"] = _merged(was["attributes"], fields["attributes"])
    by_hand = {name: fields[name] for name in COMPUTED if fields.get(name) is not None}
    given_back = {name for name in COMPUTED if name in fields and fields[name] is None}
    overridden = sorted({*was["overridden"], *by_hand} - given_back)
    after |= {**by_hand, "overridden": overridden}
    texts = {name: value for name, value in after.items() if name in _READ_BY_THE_CLASSIFIER}
    if given_back & set(was["overridden"]) or differences(was, texts):
        after |= computed_of({**was, **texts}, overridden)
    return after if differences(was, after) else {}


def _judged(rule: Callable[[Any], Any], value: Any, where: str, faults: list[Fault]) -> Any:
    try:
        return rule(value)
    except Unfit as unfit:
        faults.append(Fault(str(unfit), where))
        return None


def _faults_of_names(attributes: Iterable[str]) -> list[Fault]:
    return [
        Fault(f"must have a name of at most {NAME_MAX_CHARS} characters", f"/attributes/{_escaped(name)}")
        for name in attributes
        if len(name) > NAME_MAX_CHARS
    ]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")[:NAME_MAX_CHARS]


def _merged(was: Fields, asked: Fields) -> dict[str, Any]:
    return _bounded({name: value for name, value in {**was, **asked}.items() if asked.get(name, "") is not None})


def _bounded(attributes: dict[str, Any]) -> dict[str, Any]:
    if len(attributes) > ATTRIBUTES_MAX:
        fault = Fault(f"would be {len(attributes)}", "/attributes")
        raise Invalid(f"A ticket has at most {ATTRIBUTES_MAX} attributes.", [fault])
    return attributes
