"""Contract suites, fault injection and models, for the tests of this package and of backends made by others."""
