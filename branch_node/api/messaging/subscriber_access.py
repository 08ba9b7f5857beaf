"""Who may call the routes of subscriptions at a branch, and what each sees."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from branch_node.api.dependencies import ALWAYS, RequestContext
from branch_node.problems import BUSY, NOT_WRITING, PROBLEMS
from shared.runtime.http.application import body_of
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Role, Scope
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_desk import SubscriptionDesk
from shared.subscriptions.subscription_routes import subscription_routes

OWN_ONLY: Final = frozenset({Role.INTEGRATION})
"""The roles that see and change only what their own key made."""


def branch_subscription_routes(context: RequestContext, desk: SubscriptionDesk) -> APIRouter:
    """The routes of subscriptions."""

    async def access(principal: Principal = context.caller(Scope.MESSAGES)) -> SubscriptionAccess:  # noqa: B008
        return SubscriptionAccess(principal.key_id, principal.role in OWN_ONLY)

    return subscription_routes(
        desk,
        access=access,
        body=body_of,
        catalogue=PROBLEMS,
        always=(*ALWAYS, BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL),
        of_group=False,
    )
