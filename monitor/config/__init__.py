"""Configuration: settings, and how YAML becomes checked records."""
