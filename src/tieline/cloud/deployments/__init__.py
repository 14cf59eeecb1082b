"""Deployments: a network, a machine with a broker in it, and the agent that runs both."""
