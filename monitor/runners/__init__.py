"""Ways to run the pipeline. Each owns its clock, its process and its outputs, and calls the same stages."""
