"""Pages and tickets: what is said to whom, and when. The room opens with the live process."""
