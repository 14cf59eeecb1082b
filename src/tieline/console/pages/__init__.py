"""The pages of those who work with deployments, one file each."""
