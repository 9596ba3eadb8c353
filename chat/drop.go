package chat

// dropRecord is what is kept of the queues of last resort.
type dropRecord struct{}

// tickDrop uses the queues of last resort when nothing else is left.
func (*turn) tickDrop(*contact) error { return nil }

// dropWorkers adds what reads and writes them to what should run.
func (*turn) dropWorkers(*wanted) {}
