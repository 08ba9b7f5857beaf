"""What every service's HTTP is built on: application, middleware, problems, API keys, strict JSON, server."""
