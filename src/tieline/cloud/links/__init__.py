"""Private links: what AWS says about an endpoint, what that means for the link, and what to do next."""
