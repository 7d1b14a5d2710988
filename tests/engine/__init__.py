"""Proofs across layers: whole stores under crashes, races, damage and hostile input."""
