"""A message on its way: its fields, its topic, and the events of clients.

Here belongs what is known of a message before a rule looks at it. It never opens a connection.
Public: `Message`, `topics`, `events`, `deliveries`.
"""
