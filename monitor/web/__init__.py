"""The web side of the live process: frames in, incidents, health and metrics out."""
