package chat

// moveRecord is what is kept of queues that move.
type moveRecord struct{}

func (*turn) takeBadQueue(*contact, []byte) error { return nil }

// tickMove moves queues whose time has come.
func (*turn) tickMove(*contact) error { return nil }
