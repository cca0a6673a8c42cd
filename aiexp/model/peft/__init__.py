"""Parameter-efficient fine-tuning: few parameters of a network learn; what is put into it for them."""
