"""Rows and SQL text of the store. The room opens with the live process."""
