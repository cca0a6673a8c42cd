"""Commands that show what there is: choices, configs, data, machine. They train nothing."""
