package chat

import "context"

// logRecord is one entry of a message's ledger.
type logRecord struct{}

// Why returns the ledger of a message: each change with its time, the relays in
// words, and what comes next.
func (m *Messenger) Why(context.Context, string) (Why, error) { return Why{}, errUnbuilt }
