"""Equations in Pyomo, one file for each set; per unit inside, EUR in the objective."""
