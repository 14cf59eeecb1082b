"""The platform's records on disk: the repository, the audit log, retention, idempotency keys.

Here belongs what reads and writes records of any kind. It never decides what a record should say.
"""
