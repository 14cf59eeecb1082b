"""Messages to databases: MQTT session, rule SQL, batches that are acknowledged after the commit."""
