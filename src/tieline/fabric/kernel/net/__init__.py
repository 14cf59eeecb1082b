"""Network namespaces, wires, attachments, routes, resolvers, probes."""
