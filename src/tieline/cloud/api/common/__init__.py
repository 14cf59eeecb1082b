"""What all REST operations share: who asks, errors, bodies, idempotency."""
