"""The AWS wire: signatures, parsing and serialising from botocore's models, one module per area of operations."""
