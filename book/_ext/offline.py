"""Local Sphinx extension: what the book mends in the pages that Sphinx and its themes make."""

from __future__ import annotations

import inspect
import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], _: object) -> None:
    """Leave sphinx-thebe's scripts out of a page.

    Jupyter Book always adds them. They run cells on a remote server, which the book offers
    no button for, and declare their constants twice, an error on every page.
    """
    context["script_files"] = [
        script for script in context.get("script_files", []) if not _is_thebe(script)
    ]


def mend_lists(app: Sphinx, page: str, template: str, context: dict[str, Any], _: object) -> None:
    """Lists that readers of screens would be told wrong: of parameters, and of references."""
    if body := context.get("body"):
        body = re.sub(r"<dl>(\s*<dd><em class=\"sig-param)", r'<dl role="presentation">\1', body)
        context["body"] = body.replace('<div role="list" class="citation-list">', "<div>")


def _is_thebe(script: Any) -> bool:
    body = getattr(script, "attributes", {}).get("body", "")
    return "thebe" in f"{getattr(script, 'filename', script)} {body}".lower()


def class_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: Any
) -> tuple[str, Any] | None:
    """Readable signature of a class that autodoc does not manage.

    Of a Keras class it sees only (*args, **kwargs), and of a dataclass with a made default
    it leaves the names of types long, with a mark before them.
    """
    if what != "class" or signature is None:
        return None
    if signature == "(*args, **kwargs)":
        whole = inspect.signature(obj.__init__)
        without_self = whole.replace(parameters=list(whole.parameters.values())[1:])
        return stringify_signature(without_self, show_return_annotation=False), None
    return re.sub(r"~[\w.]*\.(\w+)", r"\1", signature).replace("<factory>", "{}"), None


def setup(app: Sphinx) -> dict[str, Any]:
    """Run after the other extensions have added their scripts."""
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", mend_lists)
    app.connect("autodoc-process-signature", class_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
