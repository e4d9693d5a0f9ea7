"""HTTP of the live process. The room opens with it."""
