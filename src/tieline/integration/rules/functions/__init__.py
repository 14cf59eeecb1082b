"""The function library of rules, by group; importing it fills the registry."""

from tieline.integration.rules.functions import (
    arrays,
    conversion,
    dates,
    encoding,
    jq,
    math,
    regex,
    sparkplug,
    strings,
    system,
)
from tieline.integration.rules.functions.registry import LIBRARY, Function

__all__ = [
    "LIBRARY",
    "Function",
    "arrays",
    "conversion",
    "dates",
    "encoding",
    "jq",
    "math",
    "regex",
    "sparkplug",
    "strings",
    "system",
]
