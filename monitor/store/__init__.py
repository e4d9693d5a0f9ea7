"""The store: its tables, what goes into them, and the questions they answer. SQL text and columns, no I/O.

`tables` is the schema in one place, `schema` its versions, `rows` turns records into columns, `tiers` merges
the coarser tiers in memory, `rolls` has the engine make what memory cannot know whole, `queries` is what
panels and commands ask.
"""
