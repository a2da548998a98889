"""Reads what other tools configure about images, as policies of krmfn. Nothing is asked and nothing is written."""
