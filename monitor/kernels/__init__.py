"""Numeric kernels that several stages share: struct-of-arrays state and vectorised steps over it."""
