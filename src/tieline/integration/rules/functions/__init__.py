"""The function library of rules, by group; importing it fills the registry."""

from tieline.integration.rules.functions import (
    arrays,
    bits,
    conversion,
    dates,
    encoding,
    fields,
    jq,
    math,
    sparkplug,
    system,
    terms,
)
from tieline.integration.rules.functions.text import formats, regex, strings
from tieline.integration.rules.registry import LIBRARY, Function

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
