"""The commands of `larder head-office`; they work on the database and import no route."""
