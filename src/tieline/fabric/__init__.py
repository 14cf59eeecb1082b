"""The AWS side: what exists, what may happen to it, and the kernel objects that make it real."""
