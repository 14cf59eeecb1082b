"""The machine below: commands, processes, names of what is made, system calls."""
