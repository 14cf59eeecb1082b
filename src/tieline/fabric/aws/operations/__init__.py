"""The operations of EC2, ELBv2 and STS that tieline serves, one module per area."""
