"""The guide, performed step by step with real packets: what `tieline demo` runs."""
