"""What the SQL sinks share: statements, the conversion of values, and writing each message once."""
