"""The values of the rule language: kinds, texts of them, comparison, and errors."""
