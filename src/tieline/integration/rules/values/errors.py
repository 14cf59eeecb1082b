"""What can go wrong with a rule: at its definition, at a place in its text, or at one message."""

from __future__ import annotations


class RuleError(Exception):
    """A rule that cannot be defined: `line` and `column` count from 1, `offset` from 0, `found` is the text there.

    `expected` holds what could have stood there, in words, and is empty where the fault is not one of grammar.
    """

    def __init__(
        self, message: str, text: str, offset: int, *, found: str = "", expected: tuple[str, ...] = ()
    ) -> None:
        self.message = message
        self.offset = max(0, min(offset, len(text)))
        before = text[: self.offset]
        self.line = before.count("\n") + 1
        self.column = self.offset - (before.rfind("\n") + 1) + 1
        self.found = found
        self.expected = expected
        super().__init__(f"line {self.line}, column {self.column}: {message}")


class TemplateError(Exception):
    """A template that cannot be used: its text is wrong, or it names a field that its rule does not give."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class RuleFailure(Exception):
    """A rule that could not be applied to one message, such as a product of a text and a number."""


class Unfit(RuleFailure):
    """An argument that its function can never use, whatever the others are: refused when the rule is saved, where the
    rule names it. `offset` is a place in `text`, which is the argument.
    """

    def __init__(self, message: str, offset: int = 0, text: str | None = None) -> None:
        super().__init__(message)
        self.offset = offset
        self.text = text


class NotMatched(Exception):
    """The sample message does not match the rule."""
