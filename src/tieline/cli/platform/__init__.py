"""Commands about the platform's records: deployments, resources, rules, users, keys."""
