"""All input and output: each module maps one foreign world, and its errors, to liftlock's words."""
