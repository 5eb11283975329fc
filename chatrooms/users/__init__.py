"""Who is asking: tokens, accounts, sign-ins, and what one user may begin."""
