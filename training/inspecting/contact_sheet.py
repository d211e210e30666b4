"""The page to look at: what was found, with the pictures side by side.

One file without scripts that loads nothing: thumbnails are JPEGs inside it. Every name is
escaped.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Final

from PIL import Image

from training.inspecting.findings import Finding, Kind
from training.inspecting.gathered import Gathered

_LARGE_PX: Final = 112
_SMALL_PX: Final = 56
_NUM_MORE: Final = 6  # further images of an identity: enough to see who it is
_JPEG_QUALITY: Final = 80

_TITLES: Final = {
    Kind.DUPLICATE: "Duplicates",
    Kind.SHARED: "People shared with another set",
    Kind.MERGE: "One person under two names",
    Kind.STRAY: "Strays",
    Kind.LOW_QUALITY: "Low quality",
}

_MEANINGS: Final = {
    Kind.DUPLICATE: (
        "Nearly the same picture twice. The left one is proposed to be left out, the right one "
        "stays. Under two names one of the names is wrong: the picture stays where it fits the "
        "other images better."
    ),
    Kind.SHARED: (
        "A person of the set to be cleaned (left) who looks like a person of another set "
        "(right). If they are one person, figures measured on the other set flatter. All "
        "images of the left identity are proposed to be left out; nothing of the other set is."
    ),
    Kind.MERGE: (
        "Two identities that look like one person. Nothing is proposed: relatives look alike. "
        "If they are one person, put the images into one folder, or exclude one of the two."
    ),
    Kind.STRAY: (
        "An image (left) that is far from the rest of its identity (middle) "
        "and nearer to another identity (right). It is proposed to be left out. Hard images of "
        "the right person are among these: take their lines out of the list."
    ),
    Kind.LOW_QUALITY: (
        "The model found little to go by: the raw embedding is shorter than the floor on its "
        "card. Nothing is proposed, for hard images teach, too."
    ),
}

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --out: #c62828; }
@media (prefers-color-scheme: dark) { :root { --out: #ff8a80; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1160px;
  padding: 16px 20px 60px; }
h1 { font-size: 24px; margin: 8px 0; }
h2 { font-size: 19px; margin: 36px 0 4px; border-top: 1px solid var(--line); padding-top: 16px; }
p { margin: 6px 0; max-width: 76ch; }
nav a { margin-right: 16px; white-space: nowrap; }
code { font-size: 13px; }
.warn { border: 2px solid var(--out); border-radius: 6px; padding: 8px 12px; max-width: 76ch; }
.grid { display: grid; gap: 12px; margin-top: 12px;
  grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); }
.grid.wide { grid-template-columns: repeat(auto-fill, minmax(520px, 1fr)); }
article { border: 1px solid var(--line); border-radius: 6px; padding: 10px; min-width: 0;
  background: var(--soft); }
article > p { font-size: 13px; margin: 0 0 8px; }
article > p b { display: block; font-size: 15px; }
.sides { display: flex; gap: 14px; }
figure { margin: 0; flex: 1 1 0; min-width: 0; }
figure > img { display: block; border: 3px solid transparent; border-radius: 4px; }
figure.out > img { border-color: var(--out); }
figcaption { font-size: 12px; overflow-wrap: anywhere; margin-top: 4px; }
figcaption span { display: block; }
.role { opacity: .75; }
.out .role { color: var(--out); font-weight: 600; opacity: 1; }
.more { display: flex; flex-wrap: wrap; gap: 2px; margin-top: 4px; }
"""

_HEAD: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Contact sheet</title>
<style>{style}</style>
</head>
<body>
<h1>Contact sheet</h1>
<p class="warn"><b>This page holds faces and names.</b> Keep it where the data is, under the same
rules, show it to nobody who may not see the data, and delete it with the data.</p>
"""

_GUIDE: Final = """<p>Only a person who looks can tell whether a line is right. Take out of
<code>exclude.txt</code> the lines of images that should stay, then train with
<code>--set data.exclude=exclude.txt</code>. Images with a red frame, marked
&ldquo;proposed to be left out&rdquo;, stand in that list now. Every finding stands in
<code>pairs.csv</code>, with its reason.</p>
"""


def contact_sheet(
    gathered: Gathered, findings: Sequence[Finding], *, num_shown: int, facts: Sequence[str]
) -> str:
    """The page as HTML text.

    Args:
        gathered: where the pictures come from.
        findings: in their order; those of a kind are shown in it.
        num_shown: at most so many of each kind are shown.
        facts: lines that stand on top.
    """
    by_kind = {kind: [one for one in findings if one.kind is kind] for kind in Kind}
    links = [
        f'<a href="#{kind}">{_TITLES[kind]}: {len(by_kind[kind])}</a>'
        for kind in Kind
        if by_kind[kind]
    ]
    return "\n".join(
        [
            _HEAD.format(style=_STYLE),
            *(f"<p>{escape(fact)}</p>" for fact in facts),
            _GUIDE,
            f"<nav>{' '.join(links) or 'Nothing was found.'}</nav>",
            *(
                _section(gathered, kind, by_kind[kind], num_shown)
                for kind in Kind
                if by_kind[kind]
            ),
            "</body>\n</html>\n",
        ]
    )


def _section(gathered: Gathered, kind: Kind, findings: Sequence[Finding], num_shown: int) -> str:
    shown = findings[:num_shown]
    rest = len(findings) - len(shown)
    note = f"<p>{rest} more are not shown; see pairs.csv or raise --limit.</p>" if rest else ""
    wide = " wide" if kind in (Kind.SHARED, Kind.MERGE, Kind.STRAY) else ""
    articles = "\n".join(_article(gathered, finding) for finding in shown)
    return (
        f'<section id="{kind}">\n<h2>{_TITLES[kind]} ({len(findings)})</h2>\n'
        f'<p>{_MEANINGS[kind]}</p>\n{note}\n<div class="grid{wide}">\n{articles}\n</div>\n'
        "</section>"
    )


def _article(gathered: Gathered, finding: Finding) -> str:
    row_a, row_b, row_own = finding.row_a, finding.row_b, finding.row_own
    is_out = bool(finding.proposed)
    figures = []
    if finding.kind in (Kind.SHARED, Kind.MERGE):
        for row in (row_a, row_b):
            if row is None:
                continue
            others = _others(gathered, row)
            count = f"{len(others) + 1} images" if others else "1 image"
            out = is_out and row == row_a
            figures.append(_figure(gathered, row, count, is_out=out, more=others))
    else:
        figures.append(_figure(gathered, row_a, "", is_out=is_out))
        if row_own is not None:
            more = [row for row in _others(gathered, row_own) if row != row_a]
            figures.append(_figure(gathered, row_own, "nearest of its own", more=more))
        if row_b is not None:
            role = "nearest of another" if finding.kind is Kind.STRAY else "stays"
            figures.append(_figure(gathered, row_b, role))
    return (
        f"<article>\n<p><b>{_headline(finding)}</b>{escape(finding.reason)}</p>\n"
        f'<div class="sides">\n{"".join(figures)}</div>\n</article>'
    )


def _others(gathered: Gathered, row: int) -> list[int]:
    """The other images of an image's identity."""
    return [one for one in gathered.rows(int(gathered.labels_N[row])).tolist() if one != row]


def _headline(finding: Finding) -> str:
    if finding.similarity is None:
        return ""
    if finding.mean_similarity is None:
        return f"similarity {finding.similarity:.3f}"
    best, mean = f"{finding.similarity:.3f}", f"{finding.mean_similarity:.3f}"
    if finding.kind is Kind.STRAY:
        return f"similarity {mean} on average to its own identity, {best} to another"
    return f"similarity {best} at best, {mean} on average"


def _figure(
    gathered: Gathered, row: int, role: str, *, is_out: bool = False, more: Sequence[int] = ()
) -> str:
    """An image with its set, identity and key, and below it some more, smaller."""
    if is_out:
        role = f"{role}, proposed to be left out" if role else "proposed to be left out"
    pictures = "".join(_picture(gathered, one, _SMALL_PX) for one in more[:_NUM_MORE])
    below = f'<div class="more">{pictures}</div>' if pictures else ""
    return (
        f'<figure class="{"out" if is_out else "in"}">{_picture(gathered, row, _LARGE_PX)}'
        f'<figcaption><span class="role">{role}</span>'
        f"<span>{escape(gathered.set_name(row))}: {escape(gathered.identity_name(row))}</span>"
        f"<span>{escape(gathered.key(row))}</span></figcaption>{below}</figure>\n"
    )


def _picture(gathered: Gathered, row: int, side_px: int) -> str:
    image = Image.fromarray(gathered.crop(row))
    if image.width != side_px:
        image = image.resize((side_px, side_px), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY)
    encoded = base64.b64encode(stream.getvalue()).decode()
    return (
        f'<img src="data:image/jpeg;base64,{encoded}" width="{side_px}" height="{side_px}" '
        f'alt="{escape(gathered.key(row))}">'
    )
