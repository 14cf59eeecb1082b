"""The MQTT brokers that a deployment can run."""
