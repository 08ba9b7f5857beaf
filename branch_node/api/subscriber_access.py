"""Who may call the routes of subscriptions at a branch, and what each sees."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from branch_node.api.dependencies import ALWAYS, MANAGERS, RequestContext
from branch_node.api.hot_route_middleware import body_of
from branch_node.problems import BUSY, NOT_WRITING, PROBLEMS
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_desk import SubscriptionDesk
from shared.subscriptions.subscription_routes import subscription_routes

SUBSCRIBERS: Final = MANAGERS
"""The roles that subscribe."""
OWN_ONLY: Final = frozenset({"integration"})
"""Those of them that see and change only what their own key made."""


def branch_subscription_routes(context: RequestContext, desk: SubscriptionDesk) -> APIRouter:
    """The routes of subscriptions."""

    async def access(request: Request) -> SubscriptionAccess:
        principal = await context.authorize(request, SUBSCRIBERS)
        return SubscriptionAccess(principal.key_id, principal.role.value in OWN_ONLY)

    return subscription_routes(
        desk,
        access=access,
        body=body_of,
        catalogue=PROBLEMS,
        always=(*ALWAYS, BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL),
        of_group=False,
    )
