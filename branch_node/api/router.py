"""The branch's HTTP API, put together: DESIGN section 7, "Branch node"."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware

from branch_node.api.dependencies import ApiNode, RequestContext
from branch_node.api.hot_route_middleware import HotRouteMiddleware
from branch_node.api.hot_routes import MAX_BODY, HotHandlers
from branch_node.api.import_routes import import_routes
from branch_node.api.read_routes import reading_routes
from branch_node.api.record_routes import BODY_LIMITS, recording_routes
from branch_node.problems import PROBLEMS
from shared.runtime.http.application import Hook, build_app


def build_api(node: ApiNode, *, on_start: Sequence[Hook] = (), on_stop: Sequence[Hook] = ()) -> FastAPI:
    """The application of a node that is open; its writer takes commands once it is started."""
    app = build_app(
        title=f"Larder branch {node.location_id}",
        version=version("larder"),
        catalogue=PROBLEMS,
        telemetry=node.telemetry,
        ready={"recording": node.not_ready, "writer": node.writer.problem},
        max_body=MAX_BODY,
        body_limits=BODY_LIMITS,
        on_start=on_start,
        on_stop=on_stop,
    )
    asking = RequestContext(node)
    hot = HotHandlers(asking)
    app.include_router(recording_routes(asking, hot))
    app.include_router(import_routes(node))
    app.include_router(reading_routes(node))
    # At the end of the list is innermost.
    app.user_middleware.append(Middleware(HotRouteMiddleware, routes=hot.routes))
    return app
