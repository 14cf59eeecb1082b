"""Desired state as a file: deployments with their links, resources and rules, in the shapes that REST takes."""
