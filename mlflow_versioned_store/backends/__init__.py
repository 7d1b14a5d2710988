"""Object stores behind one contract: the contract, its implementations, wrappers, and the conformance probe."""
