"""From the records to the topology: what is joined to what."""
