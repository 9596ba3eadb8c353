package chat

import "context"

// Search returns the newest messages whose text contains what is sought, without
// regard to case, in one conversation or all.
func (m *Messenger) Search(context.Context, string, string, int) ([]Message, error) {
	return nil, errUnbuilt
}

// Export writes a conversation to a new file, one JSON object per line, and
// returns how many messages it has.
func (m *Messenger) Export(context.Context, string, string) (int, error) { return 0, errUnbuilt }
