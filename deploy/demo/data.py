"""The sample group: three branches, a dozen items, and what people order. Made by this project; no real business."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class SampleItem:
    """One item: its id, name, base unit, category, and how many thousandths a branch starts the day with."""

    item_id: str
    name: str
    unit: str
    category: str
    delivered: int


@dataclass(frozen=True)
class SampleLocation:
    """One branch of the sample group."""

    location_id: str
    name: str
    timezone: str


LOCATIONS = (
    SampleLocation("BEY-01", "Beirut, Hamra", "Asia/Beirut"),
    SampleLocation("BEY-02", "Beirut, Achrafieh", "Asia/Beirut"),
    SampleLocation("TRI-01", "Tripoli, Mina", "Asia/Beirut"),
)

ITEMS = (
    SampleItem("flour", "Flour, type 55", "kg", "dry", 60_000),
    SampleItem("tomato", "Tomatoes", "kg", "vegetables", 45_000),
    SampleItem("mozzarella", "Mozzarella", "kg", "dairy", 40_000),
    SampleItem("olive-oil", "Olive oil", "l", "dry", 20_000),
    SampleItem("basil", "Basil", "kg", "vegetables", 3_500),
    SampleItem("zaatar", "Za'atar", "kg", "dry", 6_000),
    SampleItem("labneh", "Labneh", "kg", "dairy", 18_000),
    SampleItem("milk", "Milk", "l", "dairy", 40_000),
    SampleItem("coffee", "Coffee beans", "kg", "drinks", 9_000),
    SampleItem("lemon", "Lemons", "kg", "vegetables", 12_000),
    SampleItem("water-05", "Water, 0.5 l", "bottle", "drinks", 240_000),
    SampleItem("cola-033", "Cola, 0.33 l", "can", "drinks", 180_000),
)

# What one sold dish takes, in thousandths of each item's unit.
DISHES = {
    "margherita": {"flour": 180, "tomato": 120, "mozzarella": 125, "olive-oil": 10, "basil": 5},
    "manakish": {"flour": 150, "zaatar": 25, "olive-oil": 20},
    "labneh plate": {"labneh": 120, "olive-oil": 15, "tomato": 60},
    "lemonade": {"lemon": 90, "water-05": 1_000},
    "latte": {"coffee": 18, "milk": 220},
    "cola": {"cola-033": 1_000},
}


def sample_order(random: Random) -> list[dict[str, object]]:
    """The lines of one order: one to three dishes, each ingredient a line with the dish that caused it."""
    dishes = random.sample(sorted(DISHES), random.randint(1, 3))
    return [
        {"item_id": item_id, "quantity": quantity / 1_000, "product": dish}
        for dish in dishes
        for item_id, quantity in DISHES[dish].items()
    ]
