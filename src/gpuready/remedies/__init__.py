"""Remedies, one file each beside its cases; found by engine/catalog.py under the id of the rule that they mend."""
