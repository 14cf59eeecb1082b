"""REST operations on people: users, keys, sessions, audit, retention."""
