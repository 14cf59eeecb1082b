"""The function library of rules, by group; importing it fills the registry."""

from tieline.integration.rules.functions import conversion, math
from tieline.integration.rules.functions.registry import LIBRARY, Function

__all__ = ["LIBRARY", "Function", "conversion", "math"]
