"""Commands on a trained task; the work is that of the room `aiexp/use`."""
