"""The kernel's packet filter: tables planned whole, changed by their difference, and the flows in them."""
