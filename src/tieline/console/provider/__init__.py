"""The pages of those who provide a service from their own AWS account, on the AWS wire alone."""
