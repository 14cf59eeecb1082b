"""What every part of tieline stands on; it knows none of them and needs nothing but the standard library."""
