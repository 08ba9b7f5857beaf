"""Who may call the routes of subscriptions at head office, and what each sees."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from head_office.api.dependencies import MANAGERS
from head_office.problems import PROBLEMS, UNKNOWN_LOCATION
from shared.runtime.http.auth import Authenticator
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, FORBIDDEN, UNAUTHENTICATED, WRONG_LOCATION
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_desk import SubscriptionDesk
from shared.subscriptions.subscription_routes import subscription_routes

SUBSCRIBERS: Final = MANAGERS
"""The roles that subscribe."""
OWN_ONLY: Final = frozenset({"integration"})
"""Those of them that see and change only what their own key made."""


def office_subscription_routes(authenticator: Authenticator, desk: SubscriptionDesk) -> APIRouter:
    """The routes of subscriptions."""

    async def access(request: Request) -> SubscriptionAccess:
        principal = await authenticator.principal(request)
        principal.check_role(*SUBSCRIBERS)
        return SubscriptionAccess(principal.key_id, principal.role.value in OWN_ONLY, principal.location_id)

    async def body(request: Request) -> bytes:
        return await request.body()

    return subscription_routes(
        desk,
        access=access,
        body=body,
        catalogue=PROBLEMS,
        always=(
            UNAUTHENTICATED,
            FORBIDDEN,
            WRONG_LOCATION,
            UNKNOWN_LOCATION,
            DATABASE_BUSY,
            DATABASE_UNAVAILABLE,
        ),
        of_group=True,
    )
