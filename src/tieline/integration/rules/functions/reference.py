"""The reference page of the function library, made of what the functions say of themselves.

python -m tieline.integration.rules.functions.reference > docs/functions.md
"""

from __future__ import annotations

import sys

from tieline.integration.rules.functions import LIBRARY, Function

HEAD = """\
# Functions of rules

Made by `python -m tieline.integration.rules.functions.reference`; every example is run as a test. An argument that a
function cannot use fails the rule for that message: the message goes to the dead letters with the function's name and
what it needs. Names and arguments are those of EMQX.
"""

BAR = "\\|"  # a | that ends no cell, in code as well


def page() -> str:
    """The page as Markdown."""
    groups: dict[str, list[Function]] = {}
    for known in LIBRARY.values():
        groups.setdefault(known.group, []).append(known)
    sections = [HEAD]
    for group in sorted(groups):
        rows = [_row(known) for known in sorted(groups[group], key=lambda known: known.name)]
        sections.append("\n".join([f"## {group}\n", "| function | gives | example |", "|---|---|---|", *rows, ""]))
    return "\n".join(sections)


def _row(known: Function) -> str:
    examples = "<br>".join(
        f"`{one.call}`" + (f" = `{one.result}`" if one.result is not None else "") for one in known.examples
    )
    cells = (f"`{known.name}`, {known.arguments}", " ".join(known.doc.split()), examples)
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
