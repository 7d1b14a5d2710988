"""Where the bytes are: cutting, encoding, packing, finding again what is already there, and reading it back."""
