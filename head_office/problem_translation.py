"""Translation of head office's own errors and of its database's into problems, for routes and commands alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from head_office.log import refusals
from head_office.problems import BAD_BATCH, FORKED, GAP, SUPERSEDED, UNKNOWN_LOCATION
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.http.cursor import BAD_CURSOR, BadCursor
from shared.wire import BadBatch


@contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of head office's functions and of its database as problems."""
    try:
        with translate_driver_errors():
            yield
    except refusals.UnknownLocation as error:
        raise UNKNOWN_LOCATION(str(error), location_id=error.location_id) from error
    except refusals.GapRefused as error:
        raise GAP(str(error), expected_sequence=error.expected_sequence) from error
    except refusals.Forked as error:
        raise FORKED(str(error), sequence=error.sequence) from error
    except refusals.Superseded as error:
        raise SUPERSEDED(str(error), epoch=error.epoch) from error
    except BadBatch as error:
        raise BAD_BATCH(str(error)) from error
    except BadCursor as error:
        raise BAD_CURSOR(str(error)) from error
