"""HTML elements with a text in them."""

from __future__ import annotations

from nicegui.elements.mixins.text_element import TextElement


class Tag(TextElement):
    """An element of any kind; its text is text."""

    def __init__(self, name: str, text: str = "", /, classes: str = "", **attributes: str) -> None:
        """
        Args:
            classes: separated by spaces.
            attributes: HTML attributes; an underscore stands for a dash, as in `aria_label`.
        """
        super().__init__(tag=name, text=text)
        if classes:
            self.classes(classes)
        for attribute, value in attributes.items():
            # The framework takes what begins with a colon for code; no name of ours does.
            self.props[attribute.rstrip("_").replace("_", "-")] = value


def tag(name: str, text: str = "", /, classes: str = "", **attributes: str) -> Tag:
    """`Tag`, for use where nothing is to be kept."""
    return Tag(name, text, classes=classes, **attributes)
