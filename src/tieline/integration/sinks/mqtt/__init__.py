"""Publishing: to the deployment's own broker (republish), and to another one (bridge)."""
