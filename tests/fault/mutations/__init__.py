"""Proof that the tests need the guards: each guard is taken out of a copy of the product, and its tests must fail."""
