"""AWS's wire: signatures, requests parsed and answers written by botocore's models.

Here belongs what every operation shares below its meaning. It never looks at a record.
"""
