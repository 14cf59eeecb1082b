"""One command from nothing to a link: observe, plan, perform."""
