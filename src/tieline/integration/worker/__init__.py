"""The processes that run rules, and what is counted over all of them.

`python -m tieline.integration.worker` is one such process. Here belongs how processes are started, told and ended.
"""
