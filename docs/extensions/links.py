"""Checks a built site: links and pictures inside it lead somewhere, and no page needs another server. usage: links.py FOLDER."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

# Written by Sphinx for machines; nobody follows links in them.
NOT_PAGES = ("genindex.html", "search.html")


class Page(HTMLParser):
    """Links, what is loaded, names that can be linked to, and pictures without a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self.bare_pictures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort one tag."""
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.names.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.append(given["href"])
        if tag == "img" and not given.get("alt"):
            self.bare_pictures.append(given.get("src", ""))


def check(folder: Path) -> tuple[list[str], set[str]]:
    """Return faults, and the links to other servers."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.parts
    }
    faults, others = [], set()
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                if link in page.loaded:
                    faults.append(f"{name}: loads {link} from another server")
                elif not parts.netloc or parts.scheme == "http":
                    faults.append(f"{name}: {link} is no https address")
                others.add(link)
            elif not parts.scheme:
                target, anchor = urldefrag(link)
                place = (path.parent / unquote(target.partition("?")[0])).resolve() if target else path
                if not place.exists():
                    faults.append(f"{name}: {link} leads nowhere")
                elif anchor and place in pages and unquote(anchor) not in pages[place].names and path.name not in NOT_PAGES:
                    faults.append(f"{name}: {link} has no such heading")
        faults += [f"{name}: the picture {source} has no text for those who do not see it" for source in page.bare_pictures]
    return faults, others


if __name__ == "__main__":
    found, elsewhere = check(Path(sys.argv[1]))
    for fault in found:
        print(fault)
    print(f"{len(found)} faults; {len(elsewhere)} links to other servers, not followed (make docs-external does)")
    sys.exit(1 if found else 0)
