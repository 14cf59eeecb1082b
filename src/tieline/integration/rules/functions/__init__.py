"""The function library of rules, by group; importing it fills the registry."""

from tieline.integration.rules.functions import (
    arrays,
    bits,
    conversion,
    dates,
    encoding,
    fields,
    formats,
    jq,
    math,
    regex,
    sparkplug,
    strings,
    system,
    terms,
)
from tieline.integration.rules.functions.registry import LIBRARY, Function

__all__ = [
    "LIBRARY",
    "Function",
    "arrays",
    "bits",
    "conversion",
    "dates",
    "encoding",
    "fields",
    "formats",
    "jq",
    "math",
    "regex",
    "sparkplug",
    "strings",
    "system",
    "terms",
]
