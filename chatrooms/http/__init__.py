"""HTTP in, HTTP out: one file per section of the contract, each ending with its routes."""
