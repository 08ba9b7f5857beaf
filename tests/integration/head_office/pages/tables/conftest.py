"""Somebody at the pages of a head office that has something to order."""

import pytest
from sqlalchemy import Engine

from tests.integration.head_office.conftest import Api
from tests.support.morning_rig import MorningRig
from tests.support.office_visitor import OfficeVisitor, something_to_order


@pytest.fixture
def low(office: Engine) -> MorningRig:
    return something_to_order(office)


@pytest.fixture
def visitor(api: Api, low: MorningRig) -> OfficeVisitor:
    found = OfficeVisitor(api.client, api.keys)
    found.sign_in()
    return found
