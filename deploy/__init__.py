"""The command line that mounts the services, the demo, and what an operator deploys."""
