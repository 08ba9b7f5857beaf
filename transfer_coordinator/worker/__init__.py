"""The worker that drives transfers: mailboxes, rounds, leases, batching, threads."""
