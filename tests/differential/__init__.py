"""krmfn beside Flux's own Go code."""
