"""A local web page of a running or finished run: `stackelgrid view DIR`."""
