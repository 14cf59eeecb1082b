"""Resources, rules, actions, dead letters."""
