"""From a rule's tree to a Python function, and templates."""
