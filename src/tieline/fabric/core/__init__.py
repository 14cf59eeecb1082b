"""The fabric's decisions: records, states, consent, health, and the topology that follows from them.

Everything here is pure: no I/O, no clock, no randomness but what is given. It never imports another part of the fabric.
"""
