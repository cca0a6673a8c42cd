"""The device, its precision and threads; mirrors conf/hardware.

Here belongs everything that differs between machines. Nothing here knows tasks or data.
"""
