"""Resources of a deployment: created, changed, tested; what uses them; which addresses they may name."""
