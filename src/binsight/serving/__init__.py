"""The HTTP API: photos in over Flask, categories out; `docs/http-api.md` teaches it."""
