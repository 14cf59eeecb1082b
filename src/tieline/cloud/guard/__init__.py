"""Who may do what: users, API keys, sessions, roles, rate limits, and the log of all changes."""
