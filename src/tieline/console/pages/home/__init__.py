"""The overview with its map, and the demo world."""
