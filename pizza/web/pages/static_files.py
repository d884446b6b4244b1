"""Serves styles and scripts from memory."""

from __future__ import annotations

import hashlib
from importlib import resources

from flask import Blueprint, Response, request

from pizza.web.http.problems import Problem

_KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def register(pages: Blueprint) -> None:
    """Add `/static/<name>` to `pages`."""
    found = {
        each.name: each.read_bytes()
        for each in resources.files("pizza.web").joinpath("static").iterdir()
        if each.name.rpartition(".")[2] in _KINDS
    }
    tags = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in found.items()}

    @pages.get("/static/<name>")
    def file(name: str) -> Response:
        if name not in found:
            raise Problem(404, "There is no such file.")
        response = Response(found[name], content_type=_KINDS[name.rpartition(".")[2]])
        response.headers["Cache-Control"] = "no-cache"
        response.set_etag(tags[name])
        response.make_conditional(request.environ)
        return response
