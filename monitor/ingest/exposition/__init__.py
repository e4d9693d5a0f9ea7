"""Prometheus samples, scraped or pushed, to telemetry frames.

text       exposition text to samples              labelmap  how labels name our entities (rules/labelmaps)
placing    a series to its place in a frame        derived   sums, quantiles and ratios over two scrapes
assembly   samples of one moment to frames         tally     what was not mapped, counted by name
"""
