"""REST operations on deployments and what is in them."""
