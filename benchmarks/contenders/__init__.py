"""Those who do the same rollout, each as a process of its own: liftlock, OpenSSH alone, and what people use for it."""
