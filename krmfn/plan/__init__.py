"""The steps of the pipeline and the values that pass between them. They meet in `krmfn.pipeline`, never in each other."""
