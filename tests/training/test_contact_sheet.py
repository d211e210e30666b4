"""The contact sheet shows what was found, loads nothing, and lets no name become markup."""

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from tests.training.planted import crop, gather, unit
from training.inspecting.contact_sheet import contact_sheet
from training.inspecting.findings import Finding, Kind, Limits
from training.inspecting.gathered import Gathered
from training.inspecting.inspection import find_all

EVIL = '<script src="http://evil">&"\'</script>'


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps it."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keeps it."""
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of the elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def sample() -> Gathered:
    """Two people of DATA, one with markup for a name, and one of another set."""
    data = {"ann": [crop(0, 0), crop(0, 1), crop(1, 9)], EVIL: [crop(1, 0), crop(1, 1)]}
    other = {"guest & co": [crop(2, 0)]}
    vectors = unit([[1, 0, 0], [1, 0, 0.1], [0, 1, 0], [0, 1, 0.1], [0, 1, 0.2], [0, 0.1, 1]])
    return gather({"my <set>": data, "other": other}, vectors)


def one_of_each() -> list[Finding]:
    """Made by hand, one of each kind."""
    duplicate = Finding(
        kind=Kind.DUPLICATE, row_a=0, row_b=1, similarity=0.99, proposed=(0,), reason="copy"
    )
    merge = Finding(
        kind=Kind.MERGE, row_a=0, row_b=3, similarity=0.9, mean_similarity=0.7, reason="two"
    )
    shared = replace(merge, kind=Kind.SHARED, row_a=3, row_b=5, proposed=(3, 4))
    stray = replace(merge, kind=Kind.STRAY, row_a=2, row_b=3, row_own=1, proposed=(2,))
    return [duplicate, shared, merge, stray, Finding(kind=Kind.LOW_QUALITY, row_a=4, reason="x")]


def test_every_kind_has_its_section_with_its_pictures() -> None:
    """2 pictures for a copy, 3 for people and strays and the others of their identities, 1."""
    page = Page(contact_sheet(sample(), one_of_each(), num_shown=9, facts=["a fact"]))
    assert [one["id"] for one in page.of("section")] == [str(kind) for kind in Kind]
    large = [one for one in page.of("img") if one["width"] == "112"]
    small = [one for one in page.of("img") if one["width"] == "56"]
    assert len(large) == 2 + 2 + 2 + 3 + 1
    # Shared: one more of EVIL. Merge: two of ann, one of EVIL. Stray: ann without the stray.
    assert len(small) == 1 + 3 + 1
    assert "a fact" in page.text
    for number in ("similarity 0.990", "0.900 at best, 0.700 on average", "0.900 to another"):
        assert number in page.text


def test_proposed_images_are_marked_and_others_are_not() -> None:
    """Copy, shared person and stray; not the ones beside them, nor merges and low quality."""
    page = Page(contact_sheet(sample(), one_of_each(), num_shown=9, facts=[]))
    marks = [one["class"] for one in page.of("figure")]
    assert marks == ["out", "in", "out", "in", "in", "in", "out", "in", "in", "in"]
    sheet = contact_sheet(sample(), one_of_each()[2:3], num_shown=9, facts=[])
    assert '<figure class="out"' not in sheet


def test_names_stay_text() -> None:
    """No element or attribute comes out of a set's, an identity's or an image's name."""
    page = Page(contact_sheet(sample(), one_of_each(), num_shown=9, facts=["<b>fact</b>"]))
    assert not page.of("script")
    assert EVIL in page.text
    assert "my <set>" in page.text
    assert "guest & co" in page.text
    assert "<b>fact</b>" in page.text
    assert {key for one in page.of("img") for key in one} == {"src", "width", "height", "alt"}
    assert f"{EVIL}/0" in {one["alt"] for one in page.of("img")}


def test_the_page_loads_nothing_and_says_what_it_holds() -> None:
    """All pictures are JPEGs inside it; a policy forbids everything else."""
    page = Page(contact_sheet(sample(), one_of_each(), num_shown=9, facts=[]))
    for image in page.of("img"):
        head, _, data = (image["src"] or "").partition(",")
        assert head == "data:image/jpeg;base64"
        decoded = Image.open(io.BytesIO(base64.b64decode(data)))
        assert decoded.size == (int(image["width"] or 0), int(image["height"] or 0))
    assert not [one for tag in ("script", "link", "iframe") for one in page.of(tag)]
    assert all((one["href"] or "").startswith("#") for one in page.of("a"))
    policies = [one.get("content") or "" for one in page.of("meta") if "http-equiv" in one]
    assert "default-src 'none'" in policies[0]
    assert "This page holds faces" in page.text


def test_only_so_many_of_a_kind_are_shown() -> None:
    """The rest is counted."""
    gathered = sample()
    findings = [
        Finding(kind=Kind.LOW_QUALITY, row_a=row, reason=f"number {row}") for row in range(5)
    ]
    page = Page(contact_sheet(gathered, findings, num_shown=2, facts=[]))
    assert len(page.of("article")) == 2
    assert "3 more are not shown" in page.text
    assert "Low quality: 5" in page.text
    assert "number 1" in page.text
    assert "number 2" not in page.text


def test_a_clean_set_gives_a_page_that_says_so() -> None:
    """No sections."""
    images = {"ann": [crop(0, 0), crop(0, 1)], "ben": [crop(1, 0), crop(1, 1)]}
    gathered = gather({"data": images}, unit([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]))
    findings = find_all(gathered, Limits(threshold=0.6, pair_threshold=0.5))
    assert findings == []
    page = Page(contact_sheet(gathered, findings, num_shown=9, facts=[]))
    assert "Nothing was found." in page.text
    assert not page.of("section")


def test_a_name_that_is_no_text_does_not_stop_the_page() -> None:
    """A folder's name may hold bytes that are not UTF-8."""
    gathered = gather({"data": {"bad\udcff": [crop(0, 0)]}}, np.ones((1, 1), np.float32))
    finding = Finding(kind=Kind.LOW_QUALITY, row_a=0, reason="x")
    page = contact_sheet(gathered, [finding], num_shown=1, facts=[])
    assert "bad" in page.encode("ascii", "xmlcharrefreplace").decode()
