"""Go's text/template with the functions of sprig that work on plain data. Imports nothing of krmfn."""
