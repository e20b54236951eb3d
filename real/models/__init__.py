"""Models on disk or on the hub: found, recognised by their configuration, loaded and put on a device.

`opening` knows all families; `backbones`, `restorers` and `sampling` run the models.
"""
