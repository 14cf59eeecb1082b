"""The provider's account, read through the AWS SDK: services, balancers, targets, consent, policies.

Here belongs the only reader of that account. It never changes anything but what `consent` says.
"""
