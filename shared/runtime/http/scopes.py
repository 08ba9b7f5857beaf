"""Roles and scopes: the one table of what a key may do. Each route names the scopes of which it needs one.

A key has the scopes of its role, and those that it was given beyond them. Where it is for one location, it has them
there only. The handbook's page of keys is generated from this table and from the routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class Role(StrEnum):
    """Whose key it is. ``branch``, ``coordinator`` and ``integration`` are for machines: a location's node, the
    transfer coordinator, a till or shop's software."""

    ADMIN = "admin"
    MANAGER = "manager"
    PURCHASING = "purchasing"
    STAFF = "staff"
    VIEWER = "viewer"
    INTEGRATION = "integration"
    BRANCH = "branch"
    COORDINATOR = "coordinator"


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    SELL = "sell"
    RECORD = "record"
    RESTOCK = "restock"
    CORRECT = "correct"
    MESSAGES = "messages"
    REPORTS = "reports"
    PURCHASING = "purchasing"
    TRANSFER = "transfer"
    KEYS = "keys"
    ADMINISTER = "administer"
    COORDINATE = "coordinate"
    SYNC = "sync"


MEANINGS: Final[Mapping[Scope, str]] = MappingProxyType(
    {
        Scope.READ: "read stock, items, the log, the node's state; use the pages",
        Scope.SELL: "record orders, and cancel them",
        Scope.RECORD: "record counts and events by hand, but for those of the next two",
        Scope.RESTOCK: "record deliveries (`PURCHASE_RECEIVED`); read a branch's orders to suppliers",
        Scope.CORRECT: "adjust, void, review; define and map items; undo imports; set the node's clock right",
        Scope.MESSAGES: "read published messages, and subscribe to them",
        Scope.REPORTS: "read reports, reorder levels, suppliers and orders to them, and what is in quarantine",
        Scope.PURCHASING: "set reorder levels, suppliers, and orders to them",
        Scope.TRANSFER: "create and cancel transfers",
        Scope.KEYS: "list, issue, rotate and revoke keys",
        Scope.ADMINISTER: "add and change locations; retry what is in quarantine; read a log's lines",
        Scope.COORDINATE: "give instructions to branches, and read what came of them",
        Scope.SYNC: "ship a location's log, and pull its catalogue and instructions",
    }
)

_MANAGER: Final = frozenset(
    {
        Scope.READ,
        Scope.SELL,
        Scope.RECORD,
        Scope.RESTOCK,
        Scope.CORRECT,
        Scope.MESSAGES,
        Scope.REPORTS,
        Scope.PURCHASING,
        Scope.TRANSFER,
    }
)

SCOPES_OF: Final[Mapping[Role, frozenset[Scope]]] = MappingProxyType(
    {
        Role.ADMIN: _MANAGER | {Scope.KEYS, Scope.ADMINISTER, Scope.COORDINATE},
        Role.MANAGER: _MANAGER,
        Role.PURCHASING: frozenset({Scope.READ, Scope.RESTOCK, Scope.MESSAGES, Scope.REPORTS, Scope.PURCHASING}),
        Role.STAFF: frozenset({Scope.READ, Scope.SELL, Scope.RECORD, Scope.RESTOCK, Scope.TRANSFER}),
        Role.VIEWER: frozenset({Scope.READ, Scope.REPORTS}),
        Role.INTEGRATION: frozenset({Scope.READ, Scope.SELL, Scope.MESSAGES}),
        Role.BRANCH: frozenset({Scope.SYNC}),
        Role.COORDINATOR: frozenset({Scope.COORDINATE, Scope.TRANSFER}),
    }
)

_NAMES: Final = frozenset(scope.value for scope in Scope)

ADDABLE: Final[Mapping[Role, frozenset[Scope]]] = MappingProxyType({Role.INTEGRATION: frozenset({Scope.RESTOCK})})
"""The scopes that one key of a role can be given beyond those of the role."""


def addition_fault(role: Role, scopes: Iterable[Scope]) -> str | None:
    """Why a key of this role cannot be given these scopes beyond those of the role, or None."""
    addable = ADDABLE.get(role, frozenset[Scope]())
    for scope in scopes:
        if scope not in addable:
            can = f"can be given {in_words(sorted(addable))} alone" if addable else "can be given no further scope"
            return f"a key with the role {role} {can}, not {scope}"
    return None


def known_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes of these names; one that a newer service gave and that is not known here opens nothing."""
    return frozenset(Scope(name) for name in names if name in _NAMES)


class ScopeRequirement:
    """One of these scopes is needed. Base of the dependencies by which routes name them."""

    def __init__(self, *scopes: Scope) -> None:
        if not scopes:
            raise ValueError("a requirement names a scope")
        self.scopes = scopes

    async def declared(self) -> None:
        """A dependency that names the scopes of a route whose handler has them checked itself."""


def in_words(scopes: Iterable[Scope]) -> str:
    """The scopes as a text: `record or restock`."""
    return " or ".join(scopes)


def scopes_needed(route: Any) -> tuple[Scope, ...]:
    """The scopes of which a FastAPI route needs one; none where it is open to everybody."""
    found = {requirement.scopes for requirement in _requirements(route.dependant)}
    if len(found) > 1:
        raise ValueError(f"{route.path} names its scopes twice, and not alike")
    return found.pop() if found else ()


def _requirements(dependant: Any) -> Iterator[ScopeRequirement]:
    for each in dependant.dependencies:
        owner = getattr(each.call, "__self__", None)
        if isinstance(owner, ScopeRequirement):
            yield owner
        yield from _requirements(each)
