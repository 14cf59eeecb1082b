"""From a message to its row: batches, retries, buffers on disk, dead letters, acknowledgement.

Here belongs the promise "at least once". It never knows which database it writes to; `sinks` do.
Public: `Lane`, `Batcher`, `DeadLetters`.
"""
