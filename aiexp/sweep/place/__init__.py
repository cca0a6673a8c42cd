"""Where jobs run: this machine's slots, a cluster, and what all launchers share."""
