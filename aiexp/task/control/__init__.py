"""Acting in an environment and learning from what it returns: DQN, its memory and its exploration."""
