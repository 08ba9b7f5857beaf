"""The application of the branch's HTTP API (DESIGN section 7, "Branch node")."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from branch_node.api.clock_routes import clock_routes
from branch_node.api.dependencies import ApiNode, RequestContext
from branch_node.api.hot_route_middleware import HotRouteMiddleware
from branch_node.api.hot_routes import MAX_BODY, HotHandlers
from branch_node.api.import_routes import import_routes
from branch_node.api.inbound.inbound_routes import inbound_routes
from branch_node.api.inbound.source_access import branch_source_routes
from branch_node.api.inventory_routes import inventory_routes
from branch_node.api.key_routes import key_routes
from branch_node.api.level_routes import level_routes
from branch_node.api.messaging.message_routes import add_message_routes
from branch_node.api.messaging.subscriber_access import branch_subscription_routes
from branch_node.api.purchases.supplier_order_routes import supplier_order_routes
from branch_node.api.read_routes import reading_routes
from branch_node.api.record_routes import BODY_LIMITS, recording_routes
from branch_node.api.reservation_routes import reservation_routes
from branch_node.problems import PROBLEMS
from shared.runtime.http.application import build_app, read_guide

IMPORTS: Final = "/imports"
"""Where the page of imports takes a file, of a size that its route bounds: it writes to disk what it reads."""
_ANY_SIZE: Final = 1 << 59


def build_api(node: ApiNode) -> FastAPI:
    """The application of an open node; its writer accepts commands once it is started."""
    app = build_app(
        title=f"Larder branch {node.location_id}",
        version=version("larder"),
        guide=read_guide("branch_node.api"),
        catalogue=PROBLEMS,
        telemetry=node.telemetry,
        ready={"recording": node.not_ready, "writer": node.writer.problem},
        max_body=MAX_BODY,
        body_limits={**BODY_LIMITS, IMPORTS: _ANY_SIZE},
        own_budget=(IMPORTS,),
    )
    context = RequestContext(node)
    hot = HotHandlers(context)
    app.include_router(recording_routes(context, hot))
    app.include_router(reservation_routes(node, hot))
    app.include_router(supplier_order_routes(node))
    app.include_router(inbound_routes(node))
    app.include_router(branch_source_routes(node))
    app.include_router(import_routes(node))
    app.include_router(clock_routes(node))
    app.include_router(key_routes(node))
    app.include_router(level_routes(node))
    app.include_router(inventory_routes(node))
    app.include_router(reading_routes(node))
    add_message_routes(app, node)
    app.include_router(branch_subscription_routes(context, node.subscriptions.desk))
    # The last of the list is the innermost.
    app.user_middleware.append(Middleware(HotRouteMiddleware, routes=hot.routes))
    return app
