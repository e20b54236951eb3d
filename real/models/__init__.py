"""Models on disk or on the hub: found, recognised by their configuration, loaded and put on a device.

Called by `opening`, which knows all families, and by `backbones`, `restorers` and `sampling`, which run them.
"""
