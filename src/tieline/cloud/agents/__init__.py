"""The platform's end of the agents' lines: who is connected, what each is told, what each reports."""
