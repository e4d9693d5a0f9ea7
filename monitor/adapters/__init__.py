"""The outside: files, stores, buses, pagers. Each adapter does one kind of I/O and may fail."""
