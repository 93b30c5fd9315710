"""What runs in the jail's server: standard library only, so that it starts quickly and holds nothing worth reading.

The server loads this folder as a package of its own (`inside`), without `exprl`; hence only relative imports here.
"""
