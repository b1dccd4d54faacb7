"""The equations in Pyomo, one file an equation set; per unit inside, EUR in the objective."""
