"""Request bodies of voids and reviews, and the content that is read from them."""

from __future__ import annotations

import msgspec

from branch_node.commands.input_fields import (
    Person,
    StrictInput,
    codes,
    texts,
)
from shared.events import Code, Text


class VoidInput(StrictInput, kw_only=True):
    """Why the event is taken out, as a code such as `mistake`."""

    reason: Code
    note: Text | None = None
    actor: Person | None = None


class ReviewInput(StrictInput, kw_only=True):
    """What the reviewer has to say."""

    comment: Text | None = None
    actor: Person | None = None


class CorrectionContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A void or a review, read."""

    event_id: str
    reason: str | None = None
    note: str | None = None
    person: str | None = None


def void_of(event_id: str, given: VoidInput) -> CorrectionContent:
    """Read a void. Raises Problem."""
    codes(reason=given.reason, actor=given.actor)
    texts(note=given.note)
    return CorrectionContent(event_id=event_id, reason=given.reason, note=given.note, person=given.actor)


def review_of(event_id: str, given: ReviewInput) -> CorrectionContent:
    """Read a review. Raises Problem."""
    codes(actor=given.actor)
    texts(comment=given.comment)
    return CorrectionContent(event_id=event_id, note=given.comment, person=given.actor)
