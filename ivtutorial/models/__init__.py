"""The networks: the video UNet, its adapter, the bundle that the methods see, and where they come from."""
