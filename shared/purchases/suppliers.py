"""Suppliers: whom the group buys from. Source: INTERFACES A4. Pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from shared.checked_fields import Name
from shared.event_record import SparseRecord
from shared.events import Id, Text
from shared.levels.level_record import LeadDays
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.text.text_faults import name_fault

MAX_EMAIL: Final = 254


def email_fault(text: str) -> str | None:
    """Why a text is no address that mail can be sent to, or None. Only its form is looked at."""
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or any(each.isspace() for each in text) or "," in text or ";" in text:
        return "it is no mail address such as orders@farm.example"
    return name_fault(text)


Email = Annotated[str, msgspec.Meta(min_length=3, max_length=MAX_EMAIL), FieldRule(email_fault)]


class Supplier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A supplier of the group. `lead_days`: from an order to its delivery, where the item's level says nothing else."""

    supplier_id: Id
    name: Text
    email: str | None = None
    lead_days: int | None = None


class SupplierBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a supplier is to be called, and how long it takes. For a `CheckedDecoder`, which keeps the rules."""

    name: Name
    email: Email | None = None
    lead_days: LeadDays | None = None

    def supplier(self, supplier_id: str) -> Supplier:
        """The supplier that a checked body states."""
        return Supplier(supplier_id=supplier_id, name=self.name, email=self.email, lead_days=self.lead_days)


class SupplierRecord(SparseRecord, kw_only=True):
    """A supplier as it is answered; what is not set is left out."""

    supplier_id: str
    name: str
    email: str | None = None
    lead_days: int | None = None


def supplier_record(supplier: Supplier) -> SupplierRecord:
    """Make the record of a supplier."""
    return SupplierRecord(**msgspec.structs.asdict(supplier))
