"""The saga of one transfer: states, next step, plan, adoption. Pure."""
