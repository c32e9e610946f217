"""The composition root: what each task does, from settings to adapters to the core and back."""
