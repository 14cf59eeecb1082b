"""The broker that an agent runs or joins: Mosquitto with our plugin, or one that its owner runs.

Here belongs all that knows a broker's own files and commands.
"""
