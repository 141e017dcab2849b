"""Names of places: parcellations of the cortex, their files, and the courses of their regions."""
