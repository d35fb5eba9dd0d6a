"""The connectors there are: whatever the modules of this package declare, so that adding one edits nothing."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from common import connectors
from common.connectors.connector import Connector


def _declared() -> Iterator[type[Connector]]:
    for found in pkgutil.iter_modules(connectors.__path__, f"{connectors.__name__}."):
        if found.name not in {__name__, Connector.__module__}:
            yield from _declared_in(importlib.import_module(found.name).__dict__, found.name)


def _declared_in(names: Mapping[str, object], module: str) -> Iterator[type[Connector]]:
    for thing in names.values():
        if isinstance(thing, type) and issubclass(thing, Connector) and thing.__module__ == module:
            yield thing


def _by_name() -> Mapping[str, type[Connector]]:
    known: dict[str, type[Connector]] = {}
    for connector in _declared():
        if connector.name in known:
            raise TypeError(
                f"Two classes want the name {connector.name}: {known[connector.name]} and {connector}."
            )
        known[connector.name] = connector
    return MappingProxyType(dict(sorted(known.items())))


CONNECTORS: Mapping[str, type[Connector]] = _by_name()
