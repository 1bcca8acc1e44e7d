"""The clients' own integration suites, run as their authors ship them."""
