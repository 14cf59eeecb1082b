"""One command for the whole way: what a provider exposes, who consents, and the link that leads there."""
