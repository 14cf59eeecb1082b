"""From a rule's text to its tree: grammar, parser, positions."""
