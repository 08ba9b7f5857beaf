"""Who may say at a branch which systems tell of orders, and what the writer answers."""

from __future__ import annotations

from fastapi import APIRouter

from branch_node.api.dependencies import ALWAYS, ApiNode, RequestContext
from branch_node.database.schema import SOURCES
from branch_node.problems import BUSY, NOT_WRITING, PROBLEMS
from branch_node.writer_database import WriterDatabase
from shared.orders.source_desk import SourceDesk
from shared.orders.source_routes import source_routes
from shared.runtime.http.scopes import Scope


def branch_source_desk(node: ApiNode) -> SourceDesk:
    """The desk of a node's sources."""
    return SourceDesk(SOURCES, WriterDatabase(node.store, node.writer), PROBLEMS, node.clock.now)


def branch_source_routes(node: ApiNode) -> APIRouter:
    """The routes below /v1/inbound/sources."""
    return source_routes(
        branch_source_desk(node),
        caller=RequestContext(node).caller(Scope.CORRECT),
        catalogue=PROBLEMS,
        always=ALWAYS,
        writing=(BUSY, NOT_WRITING),
    )
