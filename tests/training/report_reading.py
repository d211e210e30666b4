"""Reads the page of a report: its words, its plots, and how it is built."""

import html
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "hr", "input"}
SVG = "{http://www.w3.org/2000/svg}"


def words(page: str) -> str:
    """What is read of a page, on one line: no plots, no styles, no tags."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(text).replace("\N{NO-BREAK SPACE}", " ").split())


def plots(page: str) -> dict[str, ET.Element]:
    """The SVGs of a page, parsed as XML, by their title."""
    roots = [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]  # noqa: S314
    return {root.findtext(f"{SVG}title") or "": root for root in roots}


def labels(plot: ET.Element) -> list[str]:
    """The texts that are drawn."""
    return ["".join(text.itertext()) for text in plot.iter(f"{SVG}text")]


class Outline(HTMLParser):
    """Reads a page as a browser does: headings, tables, ids, links, and tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.unscoped = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what the tests ask for."""
        values = {key: value or "" for key, value in attrs}
        self.tags.append(tag)
        if tag not in VOID:
            self.opened.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.unscoped += tag == "th" and values.get("scope") not in ("row", "col")
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[key] for key in ("src", "href") if key in values]
        self.references += values.get("aria-labelledby", "").split()
        for value in values.values():
            self.references += re.findall(r"url\(#([^)]+)\)", value)
        if values.get("href", "").startswith("#"):
            self.references.append(values["href"][1:])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """In an SVG `<path />` is whole."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.opened.pop()

    def handle_endtag(self, tag: str) -> None:
        """Each end belongs to the last beginning."""
        assert self.opened.pop() == tag
