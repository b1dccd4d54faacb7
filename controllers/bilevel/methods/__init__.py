"""Methods that solve the single level as one program: big-M, strong duality, the separable case."""
