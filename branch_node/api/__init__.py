"""The branch's HTTP API: routes, their dependencies, and the middleware of the hot routes."""
