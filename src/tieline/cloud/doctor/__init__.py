"""Why a private link does not work: evidence from both accounts and from inside, and the first hop that fails."""
