"""`monitor demo`: a simulated hall with faults, through store and outbox, and what came of it.

run      simulate, replay into store and outbox, score      pager    a receiver on loopback, and the way to it
hall     the racks in place and time, read from the store   picture  the hall at its worst moment, as SVG
watch    how far it is, while it works                      tell     what it came to, on a terminal
page     one page, as the receiver got it
"""
