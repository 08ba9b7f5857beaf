"""The tables kept beside the log at head office that few events touch: reservations, answers, deliveries of orders."""
