"""Work of the leading replica: driving rotations."""
