"""What every sink has in common: its kind, its failures, its network, TLS and secrets.

Here belongs what no single database owns. It never imports a sink.
"""
