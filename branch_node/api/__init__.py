"""The branch's HTTP API: routes, and what they need of a request."""
