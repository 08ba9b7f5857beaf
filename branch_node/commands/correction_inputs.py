"""Request bodies of voids and reviews, and the content that is read from them."""

from __future__ import annotations

import msgspec

from branch_node.commands.input_fields import Person, StrictInput, codes, texts
from shared.checked_fields import CheckedCode, Note


class VoidInput(StrictInput, kw_only=True):
    """Why the event is voided, as a code such as `mistake`. `whole`: with it all else that its command recorded."""

    reason: CheckedCode
    whole: bool = False
    note: Note | None = None
    actor: Person | None = None


class ReviewInput(StrictInput, kw_only=True):
    """The reviewer's comment."""

    comment: Note | None = None
    actor: Person | None = None


class CorrectionContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a void or a review."""

    event_id: str
    whole: bool = False
    reason: str | None = None
    note: str | None = None
    person: str | None = None


def void_of(event_id: str, body: VoidInput) -> CorrectionContent:
    """The content of a void. Raises Problem."""
    codes(reason=body.reason, actor=body.actor)
    texts(note=body.note)
    return CorrectionContent(event_id=event_id, whole=body.whole, reason=body.reason, note=body.note, person=body.actor)


def review_of(event_id: str, body: ReviewInput) -> CorrectionContent:
    """The content of a review. Raises Problem."""
    codes(actor=body.actor)
    texts(comment=body.comment)
    return CorrectionContent(event_id=event_id, note=body.comment, person=body.actor)
