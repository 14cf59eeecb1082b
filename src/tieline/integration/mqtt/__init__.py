"""The MQTT session with the broker: connect, subscribe, receive, acknowledge, keep alive.

Here belongs what speaks MQTT as a subscriber. It never writes to a database; what publishes is in `sinks.mqtt`.
Public: `Session`, `SessionStore`.
"""
