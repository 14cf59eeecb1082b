"""The fabric as a process: it serves the AWS wire, keeps the kernel as planned, and probes the targets."""
