"""The only code that touches the host: namespaces, wires, nftables, resolver, probes, counters."""
