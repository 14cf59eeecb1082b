"""The Redis sink: one server, sentinels or a cluster."""
