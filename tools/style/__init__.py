"""The rules of the house that no compiler checks; `tools/tidy` runs them."""
