"""The SQL of rules: parsed once, compiled to one plain function each, applied to every message."""
