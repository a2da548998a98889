"""What users write: functionConfig, Flux's objects, krmfn's own kinds, Secrets, locks and snapshots as items."""
