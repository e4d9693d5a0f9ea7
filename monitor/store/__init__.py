"""The store: its tables, what goes into them, and the questions they answer. SQL text and columns, no I/O.

`tables` is the schema in one place, `schema` its versions, `rows` turns records into columns, `rolls` makes
the coarser tiers from the finer one, `queries` is what panels and commands ask.
"""
