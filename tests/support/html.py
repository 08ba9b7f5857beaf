"""Pages as a test reads them: text, forms, tables, and what makes a page unusable for some people."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Element:
    """One element; `children` are elements and texts in order."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def all(self, *tags: str) -> Iterator[Element]:
        """The elements with these tags below this one (any, if none is given), in order."""
        for child in self.children:
            if isinstance(child, Element):
                if not tags or child.tag in tags:
                    yield child
                yield from child.all(*tags)

    def first(self, *tags: str) -> Element:
        return next(self.all(*tags))

    def by_id(self, name: str) -> Element:
        return next(each for each in self.all() if each.attributes.get("id") == name)

    @property
    def text(self) -> str:
        """What can be read of it, blanks made one."""
        return re.sub(r"\s+", " ", self._raw()).strip()

    def _raw(self) -> str:
        return "".join(child if isinstance(child, str) else child._raw() for child in self.children)

    def __getitem__(self, attribute: str) -> str:
        return self.attributes[attribute]


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(text: str) -> Element:
    """The page as a tree. Every element that is opened must be closed, in order."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder.open == [builder.root], f"<{builder.open[-1].tag}> is not closed"
    return builder.root


def rows(table: Element) -> list[list[str]]:
    """The cells of a table's body as text."""
    return [[cell.text for cell in row.all("td", "th")] for row in table.first("tbody").all("tr")]


def form_fields(form: Element) -> dict[str, str]:
    """What a browser would send of a form that nobody has touched."""
    sent: dict[str, str] = {}
    for each in form.all("input", "select", "textarea"):
        name = each.attributes.get("name")
        if name is None or each.attributes.get("type") == "file":
            continue
        if each.tag == "select":
            options = list(each.all("option"))
            chosen = next((option for option in options if "selected" in option.attributes), options[0])
            sent[name] = chosen["value"]
        elif each.attributes.get("type") != "radio" or "checked" in each.attributes:
            sent[name] = each.attributes.get("value", "")
    return sent


def filled_form(page: Element, action: str, **changed: str) -> dict[str, str]:
    """The fields of the page's form with this action, as a browser would send them with some of them changed."""
    form = next(each for each in page.all("form") if each["action"] == action)
    return {**form_fields(form), **changed}


def faults(text: str) -> list[str]:
    """What keeps people, or the content security policy, from using a page; none in a good one."""
    page = parse(text)
    everything = list(page.all())
    html = page.first("html")
    found = [] if html.attributes.get("lang") else ["the page has no language"]
    if not page.first("title").text:
        found.append("the page has no title")
    ids = Counter(each["id"] for each in everything if "id" in each.attributes)
    found += [f"the id {name} stands {count} times" for name, count in ids.items() if count > 1]
    for each in everything:
        for attribute in ("aria-labelledby", "aria-describedby", "for", "list"):
            for name in each.attributes.get(attribute, "").split():
                if name not in ids:
                    found.append(f"{attribute} of <{each.tag}> names {name}, which is not there")
        found += [f"<{each.tag}> has {name}, which the policy blocks" for name in each.attributes if _blocked(name)]
        address = each.attributes.get("src") or (each.attributes.get("href") if each.tag == "link" else None)
        if address is not None and not address.startswith("/"):
            found.append(f"<{each.tag}> loads {address}")
    inline = [each for each in page.all("script") if "src" not in each.attributes or each.text]
    if inline or any(True for _ in page.all("style", "iframe")):
        found.append("the page has a script, a style or a frame of its own")
    return found + _headings(page) + _labels(page) + _tables(page)


def _blocked(attribute: str) -> bool:
    return attribute == "style" or attribute.startswith("on")


def _headings(page: Element) -> list[str]:
    levels = [int(each.tag[1]) for each in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    found = [] if levels.count(1) == 1 else [f"the page has {levels.count(1)} first headings"]
    if levels[:1] != [1]:
        found.append("the first heading is not the page's")
    found += [
        f"a heading {after} follows a heading {before}"
        for before, after in itertools.pairwise(levels)
        if after > before + 1
    ]
    return found


def _labels(page: Element) -> list[str]:
    labelled = {each["for"] for each in page.all("label") if "for" in each.attributes}
    inside = {id(field) for label in page.all("label") for field in label.all("input", "select", "textarea")}
    found = []
    for each in page.all("input", "select", "textarea"):
        if each.attributes.get("type") == "hidden":
            continue
        if each.attributes.get("id") not in labelled and id(each) not in inside:
            found.append(f"the field {each.attributes.get('name')} has no label")
    found += [f"a {each.tag} has no name to read" for each in page.all("button", "a", "summary") if not each.text]
    found += ["a fieldset has no legend" for each in page.all("fieldset") if not any(True for _ in each.all("legend"))]
    found += ["an image has no alternative" for each in page.all("img") if "alt" not in each.attributes]
    regions = {each.tag for each in page.all("main", "header")}
    return found + [f"there is no <{tag}>" for tag in ("main", "header") if tag not in regions]


def _tables(page: Element) -> list[str]:
    found = []
    for table in page.all("table"):
        if not any(each.text for each in table.all("caption")):
            found.append("a table has no caption")
        for cell in table.all("th"):
            if cell.attributes.get("scope") not in {"col", "row"}:
                found.append(f"the heading {cell.text!r} of a table has no scope")
            if not cell.text:
                found.append("a heading of a table is empty")
    return found
