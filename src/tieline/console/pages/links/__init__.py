"""A private link, and the wizard that makes one."""
