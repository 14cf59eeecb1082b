"""The answers of the REST interface, as values that server and client share."""
