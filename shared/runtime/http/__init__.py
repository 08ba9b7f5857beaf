"""What every service's HTTP is built on: application, middleware, API keys, strict JSON, server, running file."""
