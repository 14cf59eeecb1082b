"""The rule language's functions on texts: strings, regular expressions, formats."""
