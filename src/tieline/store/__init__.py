"""Versioned documents with compare-and-set: the one place where our own records are kept."""

from tieline.store.documents import Change, Conflict, Document, Store, Unwritable
from tieline.store.sqlite import SQLiteStore

__all__ = ["Change", "Conflict", "Document", "SQLiteStore", "Store", "Unwritable"]
