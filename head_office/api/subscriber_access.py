"""Who may call the routes of subscriptions at head office, and what each sees."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from head_office.api.dependencies import Office
from head_office.problems import PROBLEMS, UNKNOWN_LOCATION
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Role, Scope
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, FORBIDDEN, UNAUTHENTICATED, WRONG_LOCATION
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_desk import SubscriptionDesk
from shared.subscriptions.subscription_routes import subscription_routes

OWN_ONLY: Final = frozenset({Role.INTEGRATION})
"""The roles that see and change only what their own key made."""


def office_subscription_routes(office: Office, desk: SubscriptionDesk) -> APIRouter:
    """The routes of subscriptions."""

    async def access(principal: Principal = office.caller(Scope.MESSAGES)) -> SubscriptionAccess:  # noqa: B008
        return SubscriptionAccess(principal.key_id, principal.role in OWN_ONLY, principal.location_id)

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
