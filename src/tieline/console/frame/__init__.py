"""The frame of every page and its parts: tables, forms, charts, rows that follow what changes."""
