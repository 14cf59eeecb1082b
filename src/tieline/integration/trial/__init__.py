"""Trying a rule on a sample in a process of its own, with bounds on time and memory.

Here belongs what keeps a hostile rule from stopping anybody else. It never touches the messages of a deployment.
"""
