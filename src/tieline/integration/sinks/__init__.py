"""What a rule can write to, one file each."""
