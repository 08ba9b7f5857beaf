"""What the process that the tests fork theirs from has imported: both ways in of each service."""

import gc
import pkgutil
from importlib import import_module

import branch_node.cli
import branch_node.main
import deploy.cli
import head_office.cli
import head_office.main
import transfer_coordinator.cli
import transfer_coordinator.main

__all__ = ["branch_node", "deploy", "head_office", "transfer_coordinator"]

for package in (branch_node.cli, head_office.cli, transfer_coordinator.cli):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
gc.freeze()
