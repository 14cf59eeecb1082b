"""The state that pages show, read once and pushed to all of them."""
