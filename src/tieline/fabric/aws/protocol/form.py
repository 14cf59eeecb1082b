"""Form bytes to a tree of names: the untyped half of parsing a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from urllib.parse import parse_qsl

from tieline.fabric.aws.protocol.errors import SHOWN, AwsError, malformed, too_large, unknown_parameter

MAX_BYTES = 1 << 20  # EC2 refuses longer requests too; the largest honest one, 1,000 targets, has about 100 kB
MAX_PARAMETERS = 10_000
MAX_DEPTH = 24  # the deepest input that EC2's model knows has 11 names

Tree = dict[str, "Node"]
Node = str | Tree


def decode(form: bytes) -> dict[str, str]:
    """The pairs of a query string or of a form body, in order; raises AwsError where it is not one."""
    if len(form) > MAX_BYTES:
        raise too_large(MAX_BYTES)
    try:
        pairs = parse_qsl(form.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError:
        raise malformed("it is not UTF-8.") from None
    except ValueError:
        raise malformed(f"it has more than {MAX_PARAMETERS} parameters.") from None
    flat = dict(pairs)
    if len(flat) != len(pairs):
        raise _repeated(pairs)
    return flat


def _repeated(pairs: list[tuple[str, str]]) -> AwsError:
    (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
    return malformed(f"the parameter {name[:SHOWN]} is given more than once.")


def grow(flat: Mapping[str, str]) -> Tree:
    """Names with dots to nested names: `A.1.B=x` becomes `{"A": {"1": {"B": "x"}}}`.

    A name is cut at its dots, so that `Tag` can never take what belongs to `TagSpecification`.
    Raises UnknownParameter where one name is both a value and a parent.
    """
    root: Tree = {}
    for name, value in flat.items():
        if "." not in name:
            if name in root:
                raise unknown_parameter(name)
            root[name] = value
            continue
        _graft(root, name, value)
    return root


def _graft(root: Tree, name: str, value: str) -> None:
    parts = name.split(".")
    if len(parts) > MAX_DEPTH:
        raise unknown_parameter(name)
    node = root
    for part in parts[:-1]:
        below = node.setdefault(part, {})
        if isinstance(below, str):
            raise unknown_parameter(name)
        node = below
    if parts[-1] in node:
        raise unknown_parameter(name)
    node[parts[-1]] = value
