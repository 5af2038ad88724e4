"""How far an answer can be trusted: what it owes to the prior, the model and single patients."""
