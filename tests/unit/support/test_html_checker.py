"""The checker of pages finds what it is there for."""

import pytest

from tests.support.html import faults, form_fields, parse

GOOD = """<!doctype html><html lang="en"><head><title>Stock</title><link rel="stylesheet" href="/x.css"></head><body>
<header></header><main><h1>Stock</h1><h2>Here</h2><form action="/a"><label for="a">A</label><input id="a" name="a">
<label><input type="radio" name="b" value="1" checked> One</label><label><input type="radio" name="b" value="2"> Two
</label><label for="c">C</label><select id="c" name="c"><option value="x">X</option><option value="y" selected>Y
</option></select><button>Send</button></form><table><caption>Items</caption><thead><tr><th scope="col">Item</th></tr>
</thead></table></main></body></html>"""


def test_a_good_page_has_no_faults() -> None:
    assert faults(GOOD) == []
    assert form_fields(parse(GOOD).first("form")) == {"a": "", "b": "1", "c": "y"}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (' lang="en"', ""),
        ("<title>Stock</title>", "<title></title>"),
        ("<h2>Here</h2>", "<h3>Here</h3>"),
        ("<h2>Here</h2>", "<h1>Here</h1>"),
        ("<h1>Stock</h1>", ""),
        ('<label for="a">A</label>', ""),
        ('<label for="a">A</label>', '<label for="a">A</label><p id="a"></p>'),
        ('id="a" name="a"', 'id="a" name="a" aria-describedby="hint"'),
        ("<button>Send</button>", "<button></button>"),
        ("<button>Send</button>", '<button onclick="x()">Send</button>'),
        ("<button>Send</button>", '<button style="color: red">Send</button>'),
        ("<button>Send</button>", "<button>Send</button><script></script>"),
        ("<button>Send</button>", '<button>Send</button><img src="/x.png">'),
        ("<button>Send</button>", "<button>Send</button><fieldset></fieldset>"),
        ("<caption>Items</caption>", ""),
        (' scope="col"', ""),
        (">Item</th>", "></th>"),
        ('href="/x.css"', 'href="https://elsewhere.example/x.css"'),
        ("<header></header>", ""),
    ],
)
def test_a_fault_is_found(good: str, bad: str) -> None:
    assert good in GOOD
    assert faults(GOOD.replace(good, bad, 1))


@pytest.mark.parametrize("bad", ["<p><b>x</p></b>", "<p>", "</p>", '<p id="a" id="b"></p>'])
def test_what_is_not_well_formed_is_refused(bad: str) -> None:
    with pytest.raises(AssertionError):
        parse(bad)
