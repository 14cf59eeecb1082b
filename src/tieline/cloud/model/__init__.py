"""The platform's records and errors as frozen values.

Here belongs what is stored and shown. It never does I/O and imports nothing else of the cloud.
"""
