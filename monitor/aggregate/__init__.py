"""Groups of the hierarchies as series of their own, each judged against its own measured null."""
