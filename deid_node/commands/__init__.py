"""The commands of deid-node, one module a subject; each imports what it needs when it runs."""
