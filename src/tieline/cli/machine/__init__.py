"""Commands about this machine: up, down, attach, accounts, the demo."""
