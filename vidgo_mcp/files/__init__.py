"""The person's disk: which pictures may be read from it, what their bytes are, and how finished ones are kept there."""
