package updater

// pgHandle names a real cluster so that another process finds it.
type pgHandle struct{}

func (*pgHandle) open() database { return nil }
