package chat

// resetRecord is what is kept for resets of the session.
type resetRecord struct{}

func (*turn) takeResetKey(*contact, []byte) error { return nil }

// takeReset takes an inner block of type RESET.
func (*turn) takeReset(*contact, []byte) error { return nil }

// tickReset makes and rotates reset keys, and resets a session that needs it.
func (*turn) tickReset(*contact) error { return nil }
