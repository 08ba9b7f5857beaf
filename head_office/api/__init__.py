"""Head office's HTTP API: routes for people, branches and the coordinator."""
