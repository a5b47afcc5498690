"""A camera and a small computer beside a bin: it looks, decides, and tells a server, which may be away."""
