"""Results as files for other programs: tables, surfaces, volumes, arrays, pictures."""
