"""The AWS endpoint: routes, pages, filters, and the server that answers."""
