"""What a store holds as a whole: who uses how many bytes, and whether all is well with it."""
