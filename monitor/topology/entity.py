"""What one line of a topology says, and what an entity's id alone tells."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from monitor.types import kind_of

_HARDWARE = ("gpu", "node", "rack", "row", "facility", "cdu", "chiller", "pdu", "port", "switch", "fabric")
_WORK = ("job", "rank", "replica", "model", "portfolio", "business")
_SUPPLY = ("feature", "pipeline", "service", "region")

KINDS = frozenset({*_HARDWARE, *_WORK, *_SUPPLY})
"""The kinds of entity that the product knows by name."""

FALLBACK_KIND = "service"

_CONTAINER = {"gpu": "node", "port": "switch", "rank": "job", "replica": "model"}
_ENTITY_ID = re.compile(r"[^\s:/]+:\S(?:.*\S)?")


class Entity(msgspec.Struct, frozen=True):
    """One entity during one stretch of time, as a line of the topology gives it.

    It exists in [`from_`, `until`), in milliseconds; None is without bound.
    """

    id: str
    parent: str | None = None
    depends_on: tuple[str, ...] = ()
    owner: str | None = None
    tags: dict[str, str] = {}
    from_: int | None = msgspec.field(default=None, name="from")
    until: int | None = None


def is_entity_id(text: str) -> bool:
    """Tell whether a text has the form `kind:name`.

    >>> is_entity_id("gpu:n0001/3"), is_entity_id("n0001"), is_entity_id("gpu:")
    (True, False, False)
    """
    return _ENTITY_ID.fullmatch(text) is not None


def canonical_kind(kind: str) -> str:
    """Return the kind whose rules apply: its own, or `service` for one that the product does not know.

    >>> canonical_kind("gpu"), canonical_kind("warehouse")
    ('gpu', 'service')
    """
    return kind if kind in KINDS else FALLBACK_KIND


@lru_cache(1 << 18)
def container_of(entity: str) -> str | None:
    """Return the entity that must contain this one by its name, or None where the name does not tell.

    >>> container_of("gpu:n0001/3"), container_of("port:leaf01/17"), container_of("node:n0001")
    ('node:n0001', 'switch:leaf01', None)
    """
    kind = _CONTAINER.get(kind_of(entity))
    source, slash, item = entity.partition(":")[2].rpartition("/")
    return f"{kind}:{source}" if kind and source and slash and item else None
