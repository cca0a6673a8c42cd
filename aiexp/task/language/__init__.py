"""Learning from running text: predicting the token that comes next."""
