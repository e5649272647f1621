"""An SVG drawing made fit to stand inside an HTML page beside others.

Knows XML, not what is drawn. Ids get a prefix (two drawings of matplotlib both have a
``figure_1``), and all that a drawing does not need is left out: header, metadata, namespaces.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

_LEFT_OUT = {"metadata", "style"}
_DRAWN = {
    *("svg", "g", "defs", "clipPath", "path", "rect", "circle", "line", "polyline", "polygon"),
    *("ellipse", "text", "tspan", "use", "title", "desc", "image", "pattern"),
}
_WIDE_POINTS = 420  # a wider one scrolls on a phone instead of becoming too small to read
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_PICTURE_DATA = "data:image/png;base64,"


def inline_svg(svg: str, prefix: str) -> str:
    """The ``svg`` element alone, with ``prefix`` before each of its ids.

    Args:
        svg: a drawing of ours as XML text.
        prefix: unique on the page.

    Raises:
        ValueError: not a drawing, or it holds a script, an animation, an event handler, or a link
            to anything outside itself.
    """
    if "<!ENTITY" in svg:
        raise ValueError("a drawing must not define entities")
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"not a drawing: {error}") from error
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _LEFT_OUT:
                parent.remove(child)
    for element in root.iter():
        _rewrite(element, prefix)
    root.set("aria-hidden", "true")  # the caption beside it speaks for it
    if float((root.get("viewBox") or "0 0 0 0").split()[2]) > _WIDE_POINTS:
        root.set("class", "wide")
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element, prefix: str) -> None:
    element.tag = _local(element.tag)
    if element.tag not in _DRAWN:
        raise ValueError(f"a drawing must not hold <{element.tag}>")
    element.tail = (element.tail or "").strip()
    if element.tag not in ("text", "tspan", "title", "desc"):
        element.text = (element.text or "").strip()
    attributes = {_local(name): value for name, value in element.attrib.items()}
    element.attrib.clear()
    for name, value in attributes.items():
        element.set(name, _attribute(name, " ".join(value.split()), prefix))


def _attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href":
        if value.startswith("#"):
            return f"#{prefix}{value[1:]}"
        if value.startswith(_PICTURE_DATA):
            return value
    value, found = _REFERENCE.subn(rf"url(#{prefix}\1)", value)
    if name == "href" or name.startswith("on") or value.count("url(") > found or "@import" in value:
        raise ValueError(f"a drawing must not point outside itself: {name}={value[:80]!r}")
    return value


def _local(name: str) -> str:
    """The name without its namespace."""
    return name.rpartition("}")[2]
