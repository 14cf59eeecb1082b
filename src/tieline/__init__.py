"""tieline: private, one-way, consent-based links between networks that otherwise stay apart."""
