"""Terms of the glossary: where a page uses one first, it is a link that shows the definition."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx

PAGE = "glossary"
ELSEWHERE = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.math)
RAW = (nodes.raw, nodes.image, nodes.term)


def remember(app: Sphinx, document: nodes.document) -> None:
    """Keep the definitions as plain text."""
    if app.env.docname == PAGE:
        app.env.sfc_terms = {
            item.next_node(nodes.term).astext(): item.next_node(nodes.definition).astext()
            for item in document.findall(nodes.definition_list_item)
        }


def link(app: Sphinx, document: nodes.document, page: str) -> None:
    """Turn the first use of each term on a page into a link."""
    terms = dict(getattr(app.env, "sfc_terms", {}))
    if page == PAGE or page == "api":
        return
    for text in list(document.findall(nodes.Text)):
        if terms and not _inside(text, ELSEWHERE + RAW):
            text.parent.replace(text, _linked(app, page, text, terms))


def _inside(node: nodes.Node, kinds: tuple) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _linked(app: Sphinx, page: str, text: nodes.Text, terms: dict[str, str]) -> list[nodes.Node]:
    """The text with links; a term that is linked leaves `terms`."""
    parts: list[nodes.Node] = []
    rest = text.astext()
    while found := terms and re.search(rf"\b({'|'.join(terms)})(?=s?\b)", rest):
        term = found[1]
        address = app.builder.get_relative_uri(page, PAGE) + f"#term-{term}"
        parts += [nodes.Text(rest[: found.start()])] if found.start() else []
        parts.append(
            nodes.reference(
                "",
                term,
                internal=True,
                refuri=address,
                reftitle=terms.pop(term),
                classes=["sfc-term"],
            )
        )
        rest = rest[found.end() :]
    return [*parts, nodes.Text(rest)] if rest else parts


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-read", remember)
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
